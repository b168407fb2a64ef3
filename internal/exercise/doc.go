// Package exercise is the contract between a stub, its tests and the tools.
//
// One exercise is one file. A stub bears a mark, `var _ = todo("1.1")`, and its
// bodies return Unwritten("1.1"); a test says what it stands on with
// Need(t, "1.1"). While one of these is marked the test is skipped. Everything
// else that is known of an exercise is a row in one table: All.
//
// Guarantees:
//   - a mark is known before the first test runs: it is set while package
//     variables are initialised, and never changes afterwards;
//   - Need never fails a test, it skips it or returns;
//   - Unwritten never panics, so an unwritten part of the cluster answers with
//     an error that says how to borrow it.
//
// Caveat: an exercise counts as written as soon as its mark is deleted in the
// binary that runs. Whether it is right is for the tests, and whether it was
// right the last time is for ./lab, which remembers the content by hash.
package exercise
