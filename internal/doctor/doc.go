// Package doctor finds out what a machine can do for the workshop, before a
// test finds out.
//
// Each Check is one line: a name, ok, warn or fail, what was seen, and where it
// is not ok the command that changes it. What can be tried is tried (a process
// in new namespaces mounts, a file is executed, a group's folder is asked for);
// settings are only read to word the fix.
//
// A failed check names the chapters that it makes impossible. A warning is
// something to know: a slower way, a test that will be skipped.
//
// Caveat: a check speaks of this user in this session; over ssh, in a container
// or with sudo the answers differ.
package doctor
