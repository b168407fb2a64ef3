// Package verify checks the workshop itself, in every direction: that a stub
// compiles and is skipped, that it fails clearly once its mark is gone, that the
// reference passes, that each known mistake is refused by name and each
// alternative accepted, and that nothing is orphaned, unlisted or unformatted.
//
// A job is one package built over one layer and some of its tests. Jobs of
// exercises that do not stand on each other are built together:
//
//	reference ── mistake of 1.1 ┐
//	          ── mistake of 1.4 ├─ one binary ── the tests of 1.1, of 1.4, of 1.8
//	          ── mistake of 1.8 ┘
//
// and a job that ends unexpectedly is tried once more alone, so that a batch can
// never be the reason of a failure.
//
// Results are kept under .lab/cache/verify in two steps: by the content of every
// source that goes into the binary, which spares the build, and by the hash of
// the binary, which spares the run. Both hold the machine: kernel, ids, sandbox
// mode, tools. Only results that came out as expected are kept.
//
// Guarantees: the table, the chapters and the tree are parameters, so that the
// checker is checked on small workshops (testdata); the reader's exercise files
// are never touched, and are not looked at but to check them as the reader's own.
//
// Caveats: build constraints are ignored when inputs are hashed (too much is
// rebuilt, never too little); a test that reads files outside its package is
// seen only for packages outside the chapters, whose key is the whole tree.
//
// The full-size counterparts: Kubernetes' hack/verify-*.sh, and the mutation
// score of a tool such as go-mutesting, here with mistakes that people make.
package verify
