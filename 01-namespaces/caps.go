package namespaces

import "coracle/internal/exercise"

// Exercise 1.8: capabilities and no_new_privs
//
// Root's power is cut into some forty capabilities, and a thread has five sets of
// them (capabilities(7)): permitted is what it may have, effective what the kernel
// looks at, bounding the most that any execve can ever give back, inheritable and
// ambient what survives an execve by somebody who is not root. Emptying one of them is
// not enough: the next execve computes permitted and effective anew from the others.
//
// Delete this line when you start:
var _ = todo("1.8")

// SetCapabilities leaves the calling thread, and every program that it executes,
// no capability but those in keep, and then sets no_new_privs if asked, so that no
// set-user-ID file gives one back either. An empty list takes everything.
//
//	SetCapabilities([]string{"CAP_CHOWN"}, true)
//	→ /proc/thread-self/status: CapPrm, CapEff, CapBnd 0000000000000001, NoNewPrivs 1
//
// The contract:
//   - bounding and permitted are exactly keep, as far as held: a capability that the
//     caller does not have cannot be given and is not an error, as with runc (a program
//     asks for what it could use, and a rootless or nested caller has less); nor is one
//     that this kernel does not know yet. Effective is all that is permitted;
//   - inheritable and ambient are empty, so that a program executed by anybody but
//     root begins with nothing. isolate's child does come with a full ambient set:
//     that is how it survives its own execve before its ids are mapped (1.2).
//
// Errors: a name that is no capability, by name and before anything has changed; a
// system call that failed, with the name of the set (as "bounding" without CAP_SETPCAP).
//
// It acts on the calling thread alone; the caller has locked it (runtime.LockOSThread).
//
// Done when: `./lab test 1.8` is green. May use: capNumber (given), unix.Capget and
// unix.Capset with LINUX_CAPABILITY_VERSION_3 (two CapUserData: bits 0–31 and 32–63),
// unix.Prctl. capabilities(7), "Transformation of capabilities during execve()";
// PR_CAPBSET_DROP, PR_CAP_AMBIENT and PR_SET_NO_NEW_PRIVS in prctl(2).
func SetCapabilities(keep []string, noNewPrivs bool) error {
	return exercise.Unwritten("1.8")
}
