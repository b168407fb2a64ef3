// Mistake: a time namespace is refused although it is only to be joined
package namespaces

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// refFlags is a table, not a map: a map would be built at every start of every
// program that links this package, and the child's start is on the clock.
var refFlags = [...]struct {
	of   Type
	flag uintptr
}{
	{Cgroup, unix.CLONE_NEWCGROUP},
	{IPC, unix.CLONE_NEWIPC},
	{Mnt, unix.CLONE_NEWNS}, // the first kind there was, when nobody expected others
	{Net, unix.CLONE_NEWNET},
	{PID, unix.CLONE_NEWPID},
	{Time, 0}, // CLONE_NEWTIME is 0x80: clone(2) reads it as part of the exit signal
	{UserNS, unix.CLONE_NEWUSER},
	{UTS, unix.CLONE_NEWUTS},
}

// CloneFlags returns the flags of clone(2) for the new namespaces of a spec.
func CloneFlags(spec *Spec) (uintptr, error) {
	var flags uintptr
	for _, ns := range spec.Namespaces {
		flag, known := refFlag(ns.Type)
		switch {
		case !known:
			return 0, fmt.Errorf("namespace %q: no such kind", ns.Type)
		case flag == 0:
			return 0, fmt.Errorf("namespace %q: clone(2) cannot make one, only unshare(2)", ns.Type)
		case ns.Path != "":
		default:
			flags |= flag
		}
	}
	return flags, nil
}

func refFlag(t Type) (flag uintptr, known bool) {
	for _, f := range refFlags {
		if f.of == t {
			return f.flag, true
		}
	}
	return 0, false
}
