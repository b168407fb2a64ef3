// Alternative: a switch, and one pass that refuses before a second adds.
package namespaces

import (
	"errors"
	"fmt"
	"syscall"
)

func CloneFlags(spec *Spec) (flags uintptr, err error) {
	for _, ns := range spec.Namespaces {
		var bit uintptr
		switch ns.Type {
		case Mnt:
			bit = syscall.CLONE_NEWNS
		case UTS:
			bit = syscall.CLONE_NEWUTS
		case IPC:
			bit = syscall.CLONE_NEWIPC
		case UserNS:
			bit = syscall.CLONE_NEWUSER
		case PID:
			bit = syscall.CLONE_NEWPID
		case Net:
			bit = syscall.CLONE_NEWNET
		case Cgroup:
			bit = 0x02000000
		case Time:
			if ns.Path == "" {
				err = errors.Join(err, errors.New("time: a new one needs unshare"))
			}
		default:
			err = errors.Join(err, fmt.Errorf("unknown namespace %q", ns.Type))
		}
		if ns.Path == "" {
			flags |= bit
		}
	}
	if err != nil {
		return 0, err
	}
	return flags, nil
}
