// Alternative: on every thread at once, as syscall.AllThreadsSyscall does; the ambient
// set first, then the bounding set up to the last capability of this kernel.
package namespaces

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func SetCapabilities(keep []string, noNewPrivs bool) error {
	var wanted uint64
	var unknown []string
	for _, name := range keep {
		if n, ok := capNumber(name); ok {
			wanted |= 1 << n
		} else {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return errors.New("unknown capabilities: " + strings.Join(unknown, ", "))
	}
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return err
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := everyThread("ambient set", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return err
	}
	for c := range last + 1 {
		if wanted&(1<<c) != 0 {
			continue
		}
		if err := everyThread("bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil {
			return err
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	have := uint64(sets[0].Permitted) | uint64(sets[1].Permitted)<<32
	have &= wanted
	for i, half := range []uint32{uint32(have), uint32(have >> 32)} {
		sets[i] = unix.CapUserData{Permitted: half, Effective: half}
	}
	err = everyThread("permitted set", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	if err == nil && noNewPrivs {
		err = everyThread("no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	}
	return err
}

func everyThread(what string, trap, a, b, c uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(trap, a, b, c, 0, 0, 0); errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}
