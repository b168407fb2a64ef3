package doctor

import (
	"encoding/json"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Probe is what the process in the new namespaces does: each mount that the
// sandbox and the chapters make, and what failed of it as JSON on stdout. It
// waits for its ids: until stdin ends.
func Probe() error {
	io.Copy(io.Discard, os.Stdin)
	failed := map[string]string{}
	try := func(key, what string, err error) bool {
		if err != nil && failed[key] == "" {
			failed[key] = what + ": " + err.Error()
		}
		return err == nil
	}
	if try("private", "make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")) {
		ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		try("readonly", "make / read-only", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &ro))
		try("proc", "mount proc", unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
		try("sys", "mount sysfs", unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
		if try("tmpfs", "mount tmpfs", unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "")) {
			for _, dir := range []string{"/tmp/l", "/tmp/u", "/tmp/w", "/tmp/m"} {
				try("overlay", "mkdir", os.Mkdir(dir, 0o755))
			}
			try("overlay", "mount overlay", unix.Mount("overlay", "/tmp/m", "overlay", 0, "userxattr,lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w"))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(failed)
}
