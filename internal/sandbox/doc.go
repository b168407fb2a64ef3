// Package sandbox keeps the reader's machine out of reach of the tests.
//
// TestMain of a chapter that touches the kernel calls Main, which executes the
// test binary again in namespaces of its own:
//
//	go test ── outer: makes the namespaces, waits, removes what it made
//	             └─ PID 1: closes the file system, drops capabilities, reaps
//	                  └─ the tests
//
// Inside,
//   - user (unless root), mount, network, PID, UTS, IPC and cgroup namespaces
//     are the tests' own, and lo is up;
//   - everything from / down is private and read-only (mount_setattr(2),
//     recursive) save a tmpfs for TMPDIR and the files that `go test` itself
//     asked for; /proc and /sys are fresh, /proc is never masked, because a
//     nested rootless mount of proc would then fail (mount_namespaces(7));
//   - CAP_SYS_BOOT, SYS_MODULE, SYS_RAWIO and SYS_TIME are gone for good;
//   - when PID 1 ends, the kernel ends every process below it; when the outer
//     process is killed, PID 1 is (PR_SET_PDEATHSIG).
//
// So a wrong umount, RemoveAll or nft flush of a reader reaches nothing.
//
// Three modes: Root, Range (newuidmap and a subuid range) and Single (one id,
// what a kernel gives to anyone). CORACLE_SANDBOX_MODE=root|range|single forces
// one. A test says what it needs with Need, and is skipped with the command
// that provides it where it is missing.
//
// Caveat: as root, /proc/sys is the host's and writable; a test must not write it.
package sandbox
