package build

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// withMounts calls f on a thread with mounts of its own and gives it an empty
// folder to mount things in. They end with the thread, however that ends: a build
// that is killed leaves none. over is the folder that the empty one covers, on that
// thread alone.
//
// A file or folder that f leaves open stays usable: what a descriptor holds is not
// unmounted (mount_namespaces(7)).
func withMounts(over string, f func(dir string) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end. While it is held here, the next goroutine gets another.
			done <- withMounts(over, f)
			runtime.UnlockOSThread()
			return
		}
		err := privateMounts(over)
		if err == nil {
			err = f(over)
		}
		done <- err
	}()
	return <-done
}

func privateMounts(over string) error {
	// Mounts of a thread need a root and working directory of its own: CLONE_FS, which CLONE_NEWNS implies.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace (run as root, or through image): %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := unix.Mount("tmpfs", over, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", over, err)
	}
	return nil
}

// mountIn makes a folder in dir, mounts something on it, and opens it.
func mountIn(dir, name string, mount func(target string) error) (*os.Root, error) {
	target := dir + "/" + name
	if err := os.Mkdir(target, 0o700); err != nil {
		return nil, err
	}
	if err := mount(target); err != nil {
		return nil, err
	}
	return os.OpenRoot(target)
}
