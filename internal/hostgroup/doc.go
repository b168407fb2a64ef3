// Package hostgroup knows the machine's control groups: where the hierarchies
// are mounted, in which group this process is, where it may make groups of its
// own, and which groups were left behind by a program that was killed.
//
// It is what the test sandbox and the chapters' programs share. It reads and
// makes folders only; limits, births and kills are chapter 2.
//
// Guarantees:
//   - a group made under Name is removed by Collect once the process that made it
//     is gone, with all that is in it, and never before;
//   - Parent answers a folder where mkdir works, or an error that says in one line
//     how to get one.
//
// Caveat: what Divide has done stays, enabled controllers and the leaf that
// processes moved to: another program may have come to need them.
package hostgroup
