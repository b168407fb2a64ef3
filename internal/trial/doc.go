// Package trial runs the tests of exercises on what the reader wrote.
//
// The model: one package folder, the exercises to try in it, and a Layer that
// takes these from the reader and borrows the rest. An exercise that is not
// written is reported as such and never tried on the reference. One that does
// not compile is reported, borrowed too, and the others are tried all the same.
//
// Guarantees:
//   - an exercise is remembered as passed only on the content that was compiled:
//     what changes during the build is built again;
//   - every failure names its rung, and compile errors and stack frames say
//     which file is borrowed;
//   - a crash of one test does not hide the tests after it: they are run again.
//
// Caveat: which mistake a failure looks like is a guess by the phrase in its
// message or by the set of tests that fail.
package trial
