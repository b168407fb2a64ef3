// Package namespaces runs a process with its own view of the machine.
//
// A Spec says what the process is to be; Start makes it. The caller executes
// itself again, by another name, in the new namespaces; that child makes of
// itself what the spec says and then becomes the program, with the same PID:
//
//	caller                                    child
//	Start: clone(flags) ────────────────────▶ Init: reads descriptor 3
//	       MapIDs(pid) (1.6)
//	       the spec ── descriptor 3 ────────▶ setup(spec): hostname, root (1.3, 1.4),
//	                                          masks (1.5), user, capabilities (1.8),
//	                                          seccomp (1.9)
//	       reads descriptor 4 ◀─ an error ─── or execve, which closes 4
//	Wait                                      the program, PID 1
//
// Guarantees:
//   - when Start returns without an error, the program runs and nothing of ours
//     does in its place; when it returns with one, nothing is left running or mounted;
//   - the program gets stdio and no other descriptor of the caller;
//   - when the caller dies, however it dies, the program is killed, and with it, as
//     PID 1, all of its namespace; mounts end with the mount namespace.
//
// Caveats: the last guarantee rests on PR_SET_PDEATHSIG, which watches the thread
// that called Start: let it outlive the program (lock main to its thread). The
// program is a PID 1: a signal it has no handler for is ignored, unless it is
// SIGKILL or SIGSTOP from outside. As real root without a user namespace, a
// program can write to the file that /proc/self/exe of the child was
// (CVE-2019-5736); keep the caller's binary on a file system that is read-only or
// run with a user namespace.
//
// The full-size system: runc, libcontainer/process_linux.go and init_linux.go.
package namespaces
