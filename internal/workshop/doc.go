// Package workshop is the reader's checkout: which exercise is in which state,
// and which file stands for it in a build.
//
// An exercise is unwritten (its stub bears the mark), in progress (no mark, no
// green tests on this content) or yours (the workshop's tests passed on this
// content, kept by hash in .lab/yours.json). A build lays files over the tree
// with Go's own -overlay: a Layer says which. Borrowing is a layer too: the
// reference for everything that is not yours.
//
// The pristine stubs are kept in one generated archive, solutions/stubs.txtar,
// so that reset, update, verify and grading need no git history.
//
// Nothing here runs a test or writes an exercise's file.
package workshop
