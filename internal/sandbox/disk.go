package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

const (
	diskVar = "CORACLE_SANDBOX_DISK"
	// What the tests get is open to every id of theirs, as TMPDIR is, in a folder that
	// is closed to the machine's other users: tests make set-uid files.
	inner = "tmp"
)

// OnDisk puts a folder on the machine's disk over TMPDIR where a tmpfs keeps no
// attributes of users (before Linux 6.6), which overlay mounts need. It is called
// before Main, and what it returns after.
func (o *Options) OnDisk() (remove func()) {
	switch os.Getenv(stageVar) {
	case "":
	case "test":
		if dir := os.Getenv(diskVar); dir != "" {
			os.Unsetenv(diskVar) // those whom the tests execute find it there
			if err := cover(os.TempDir(), filepath.Join(dir, inner)); err != nil {
				fmt.Fprintln(os.Stderr, "sandbox:", err)
			}
		}
		return func() {}
	default:
		return func() {}
	}
	var uts unix.Utsname
	var major, minor int
	unix.Uname(&uts)
	fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	if major > 6 || major == 6 && minor >= 6 || !wanted() {
		return func() {}
	}
	if o.Cgroup {
		hostgroup.EnterScope() // begins the program anew, which would leave a folder behind
	}
	for _, parent := range []string{"/var/tmp", os.TempDir()} {
		dir, err := os.MkdirTemp(parent, "coracle-")
		if err == nil && unix.Setxattr(dir, "user.coracle", []byte("y"), 0) == nil && openFolder(filepath.Join(dir, inner)) == nil {
			os.Setenv(diskVar, dir)
			o.Writable = append(o.Writable, dir)
			return func() { os.RemoveAll(dir) }
		}
		os.RemoveAll(dir)
	}
	return func() {}
}

func openFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777|os.ModeSticky)
}

// cover mounts folder over dir, with the flags that the tmpfs below has.
func cover(dir, folder string) error {
	err := unix.Mount(folder, dir, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.MountSetattr(unix.AT_FDCWD, dir, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV})
	}
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", folder, dir, err)
	}
	return nil
}
