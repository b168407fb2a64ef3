// Package v1 serves machines whose controllers are mounted as cgroup v1, with the
// limits of chapter 2 and the program limit. It is given: v1 has one tree for each
// controller, other names for everything, and no birth in a group; there is nothing
// in it that would still have to be learned.
//
// A process starts behind a gate instead: a copy of this program, which is moved
// into the groups first and executes the command after.
//
//	Start                                the gate (this program again)
//	  starts it, in the v2 group if there is one ──> waits at descriptor 3
//	  moves it into one group for each controller
//	  one byte ── 3 ─────────────────────────────> execve
//	  <─────────────── 4 ── errno, or its end: execve closed it
//
// On a hybrid machine the v2 mount has no controllers, but counts pressure and
// kills a tree at once; both are used where it is there.
//
// Guarantees: as package cgroups, but for memory that the gate itself has used,
// which stays charged to the caller's group, and for Memory.High, which v1 does not have.
//
// In full size this is github.com/opencontainers/cgroups, fs/.
package v1
