// Package check is how a test of the workshop speaks: a thin layer over testify
// whose failures teach.
//
// A message says what was done, what came, what was wanted, what it often means
// and where to read. Its first line is under 100 columns, the whole at most 8
// lines, and an errno is given by name:
//
//	CloneFlags(pid, uts): got 0x20000000, want 0x24000000
//	  often this is: only the last namespace is kept
//	  read chapters/01-namespaces.md#11-clone-flags, or: ./lab hint 1.1
//
// All functions end the test when they fail: a second message about the same
// mistake only hides the first. None of them waits longer than Deadline.
package check
