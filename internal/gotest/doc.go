// Package gotest builds one package's test binary over a layer and runs it,
// telling test from test. It is `go test -c` and the binary itself, because the
// build is then known by its content and only the run is repeated.
//
// Caveat: output that a test's child writes without a newline can be given to
// the next test.
package gotest
