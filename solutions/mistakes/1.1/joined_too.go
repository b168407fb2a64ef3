// Mistake: a namespace to join gets a new one as well
package namespaces

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var refFlags = [...]struct {
	of   Type
	flag uintptr
}{
	{Cgroup, unix.CLONE_NEWCGROUP},
	{IPC, unix.CLONE_NEWIPC},
	{Mnt, unix.CLONE_NEWNS},
	{Net, unix.CLONE_NEWNET},
	{PID, unix.CLONE_NEWPID},
	{Time, 0},
	{UserNS, unix.CLONE_NEWUSER},
	{UTS, unix.CLONE_NEWUTS},
}

func CloneFlags(spec *Spec) (uintptr, error) {
	var flags uintptr
	for _, ns := range spec.Namespaces {
		flag, known := refFlag(ns.Type)
		switch {
		case !known:
			return 0, fmt.Errorf("namespace %q: no such kind", ns.Type)
		case flag == 0 && ns.Path == "":
			return 0, fmt.Errorf("namespace %q: clone(2) cannot make one, only unshare(2)", ns.Type)
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
