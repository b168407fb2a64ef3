// Package box is the base image's user land in one static program: a shell and
// the core tools that a person misses first inside an empty container.
//
// Model: the file system holds one binary, /bin/box, and a link per applet.
// Main picks the applet by the base name of argv[0], or by `box APPLET args`.
// An applet is one function in one table and always a process of its own, so
// it may exit, change directory or leave files open.
//
// Guarantees:
//   - a failing applet says `applet: what: why` on stderr and exits as POSIX
//     says: 0, 1 for a failure, 2 for wrong usage, 126 and 127 for a command
//     that cannot be run or is not there, 128+n after signal n;
//   - starting an applet costs a few milliseconds: nothing is compiled or read
//     at package level, and net/http is not linked;
//   - as PID 1, where the kernel drops a signal that has no handler, INT, TERM,
//     HUP and QUIT still end an applet, with status 128+n.
//
// Caveats. The shell is mvdan.cc/sh, a bash-like interpreter: subshells are
// goroutines of one process ($$ stays, children of a subshell are the shell's),
// redirections reach descriptors 0, 1 and 2 only, `trap` knows EXIT and ERR, $!
// is a name such as g1 that wait and kill understand. There is no job control:
// ^C reaches the foreground, ^Z stops shell and child together. wget and httpd
// speak HTTP without TLS. The options are the common ones, not all. A Go process
// is about five tasks to the pids controller, and one that gets no thread ends
// with the runtime's "failed to create new OS thread".
//
// The full-size systems are BusyBox (applets/applets.c, libbb/) and u-root
// (pkg/core). u-root's packages were weighed and left: ls reports a missing
// file with status 0, mv does not cross file systems, find takes one root.
package box
