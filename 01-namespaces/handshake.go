package namespaces

import "coracle/internal/exercise"

// Exercise 1.2: the re-exec handshake
//
// Between clone(2) and execve(2) the child has much to do: mounts, ids,
// capabilities. Go cannot do it there, because a clone of a Go program has one
// thread and no scheduler. So the child is this program once more: it is started
// from /proc/self/exe under another name, finds by os.Args[0] that it is the
// init (Reexec, given, calls Init then), does its work in peace, and becomes the
// program by execve, which keeps the PID. Two pipes join the two:
//
//	Start                                        Init
//	clone + execve /proc/self/exe ─────────────▶ (ids are not mapped yet)
//	MapIDs, if the spec has a map
//	the spec as JSON, end of file ─ specFD, 3 ─▶ decode, setup(spec), chdir, lookup
//	end of file: it runs ◀───────── errorFD, 4 ─ execve: close-on-exec closes 4
//	or an error: it does not ◀───────────────── …or one encodeError, then exit
//
// A pipe holds 64 KiB, and it ends for the reader when its last writing end is
// closed, in every process that has one. Nearly all that goes wrong here is one
// of these two.
//
// Delete this line when you start:
var _ = todo("1.2")

// Start validates the spec, starts the child and returns when the program runs.
//
//	Start({Args: ["echo", "hi"]}, Stdio{Out: w})       → a Process; w gets "hi\n"
//	Start({Args: ["no-such"]}, Stdio{})                → a *StartError: execute no-such …
//	Start({Args: ["sh"], Namespaces: [{pid}]}, …)      → sh is PID 1
//
// The ids of a new user namespace are mapped (if spec.UIDMap is not empty) before
// the spec is sent: the child starts its work with the spec, so that is the gate.
//
// Errors: that of spec.Validate, CloneFlags or MapIDs; that of starting the child,
// worded by explainClone; what the child wrote to the error pipe, by decodeError.
// After an error the child is killed and waited for, and no pipe is left open.
//
// May use: syscall.ForkExec("/proc/self/exe", []string{initName}, …), with the
// given initEnv as Env, stdio.descriptors(spec pipe's reading end, error pipe's
// writing end) as Files and childAttr(spec, flags) as Sys; MapIDs(pid, spec.UIDMap,
// spec.GIDMap), borrowed until 1.6; Kill and Wait of &Process{Pid: pid}, given.
// pipe(7), clone(2).
func Start(spec *Spec, stdio Stdio) (*Process, error) {
	return nil, exercise.Unwritten("1.2")
}

// Init is the child. It reads the spec from specFD and closes it, calls setup
// (given), changes to spec.Dir if there is one, finds the program by lookup
// (given) and executes it with spec.Args and exactly spec.Env.
//
// It does not return if that worked. If not, it writes the error to errorFD with
// encodeError and ends with os.Exit(125); it returns only an error that it could
// not write. The error of execve itself goes through programError(path, err).
//
// Done when: `./lab test 1.2` is green. May use: os.NewFile, encoding/json,
// unix.CloseOnExec, unix.Exec, unix.Chdir, unix.Write. execve(2), FD_CLOEXEC in
// fcntl(2).
func Init() error {
	return exercise.Unwritten("1.2")
}
