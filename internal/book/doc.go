// Package book holds the chapters to the truth. Its test fails when a page shows
// code that the tree no longer holds, a session that no longer runs that way, a
// link that leads nowhere, or breaks the rules of its own style.
//
// What a page may hold:
//
//	```go source=01-namespaces/spec.go symbol=IDMap     the declaration, to the letter; with `doc` its comment too
//	```go sketch                                        no real code: holes, or another program
//	```console                                          run in order in one copy of the tree; "$ " begins a command
//	```console needs=cgroup2                            run only where the machine has it; several with commas
//	```console by-hand="it wants a terminal"            not run, with the reason
//	```text                                             a diagram or a file; not checked
//
// In the output of a session a line "..." stands for any lines, and "..." within
// a line for any text.
//
// Code from solutions/ stands after its section's "Write it now" and folded in
// <details>. Between two things to run are at most 600 words.
//
// `go test ./internal/book -update` cuts the code of all pages anew.
package book
