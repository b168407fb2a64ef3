package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// allCaps lists the capabilities this kernel knows: all are in the bounding set of a
// new user namespace, even if not in this process's, as in a container.
func allCaps() []uintptr {
	var caps []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil {
			caps = append(caps, c)
		}
	}
	return caps
}

// dropCaps removes capabilities from every set of this thread, and clears the
// ambient and inheritable sets, so that what it executes is root like any other.
func dropCaps(drop ...int) error {
	for _, c := range drop {
		// EINVAL: a kernel without this capability.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear the ambient set: %w", err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		data[i].Inheritable = 0
		for bit := range 32 {
			if slices.Contains(drop, i*32+bit) {
				data[i].Permitted &^= 1 << bit
				data[i].Effective &^= 1 << bit
			}
		}
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
