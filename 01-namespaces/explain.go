package namespaces

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// explainClone words the error of cloning the child: the kernel gives one errno
// for many reasons.
func explainClone(spec *Spec, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("start the child: %w", err)
	}
	switch errno {
	case unix.EINVAL:
		for _, ns := range spec.Namespaces {
			if _, statErr := os.Stat("/proc/self/ns/" + string(ns.Type)); statErr != nil {
				return fmt.Errorf("this kernel has no %s namespaces: %w", ns.Type, errno)
			}
		}
	case unix.EPERM, unix.EACCES:
		if spec.New(UserNS) {
			return fmt.Errorf("no user namespace for an ordinary user here: %w; ./lab doctor says how to allow it", errno)
		}
		return fmt.Errorf("new namespaces: %w: be root, or ask for a user namespace as well", errno)
	case unix.ENOSPC, unix.EUSERS:
		return fmt.Errorf("new namespaces: %w: a limit in /proc/sys/user/max_*_namespaces is reached", errno)
	}
	return fmt.Errorf("clone in new namespaces: %w", errno)
}
