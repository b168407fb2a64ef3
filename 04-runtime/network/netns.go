package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ThisNetNS is the caller's network namespace. It is a thread's, not a process's:
// /proc/self is the first thread, which may be elsewhere.
const ThisNetNS = "/proc/thread-self/ns/net"

// NewNetNS makes a network namespace that stays without any process, because the file
// at path is bound to it (namespaces(7)); the file is made. Its lo is up.
func NewNetNS(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("new network namespace: %w", err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network: %w", err)
		}
		if err := LoopbackUp(); err != nil {
			return err
		}
		return os.NewSyscallError("mount", unix.Mount(ThisNetNS, path, "", unix.MS_BIND, ""))
	})
	if err != nil {
		RemoveNetNS(path)
		return fmt.Errorf("new network namespace %s: %w", path, err)
	}
	return nil
}

// RemoveNetNS unbinds the file and removes it. The namespace goes with its last
// process. Nothing there is no error.
func RemoveNetNS(path string) error {
	// EINVAL: not a mount. Detached: a process that holds it open is no hindrance.
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// InNetNS runs f in the namespace that the file at path is, on a thread that nothing
// else uses meanwhile. What f opens stays in that namespace: sockets, files of
// /proc/sys/net. What it starts as a goroutine is somewhere else.
func InNetNS(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}

// onThread runs f on a locked thread and brings the thread back. One that cannot be
// brought back ends with its goroutine; to let every one end so would cost the process
// its first thread sooner or later, which the kernel takes for the process itself.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(ThisNetNS)
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// LoopbackUp sets lo up in the caller's namespace; the kernel gives it its addresses.
func LoopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// SetSysctl writes a setting of the caller's network namespace, by its path below
// /proc/sys/net: "ipv4/ip_forward". One that this kernel does not have is an error
// that is fs.ErrNotExist.
func SetSysctl(name, value string) error {
	path := filepath.Join("/proc/sys/net", name)
	if now, err := os.ReadFile(path); err == nil && string(now) == value+"\n" {
		return nil // perhaps not ours to write, and as wanted
	}
	return os.WriteFile(path, []byte(value), 0)
}
