// Mistake: effective is only narrowed, and what is permitted but idle stays so
package namespaces

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SetCapabilities leaves the calling thread, and every program that it executes,
// no capability but those in keep, and then sets no_new_privs if asked.
func SetCapabilities(keep []string, noNewPrivs bool) error {
	var wanted uint64
	for _, name := range keep {
		n, ok := capNumber(name)
		if !ok {
			return fmt.Errorf("capabilities: no capability is called %q", name)
		}
		wanted |= 1 << n
	}
	// Bounding first: dropping from it takes CAP_SETPCAP, which capset may take away.
	for c := range 64 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break // EINVAL: this kernel has no more
		}
		if held == 1 && wanted&(1<<c) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
			}
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		data[i].Permitted &= uint32(wanted >> (32 * i)) // what is not held cannot be given
		data[i].Effective &= uint32(wanted >> (32 * i))
		data[i].Inheritable = 0
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("set the permitted, effective and inheritable sets: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear the ambient set: %w", err)
	}
	if noNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	return nil
}
