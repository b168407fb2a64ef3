package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

const diskVar = "CORACLE_SANDBOX_DISK"

// OnDisk gives the tests a folder on the machine's disk as TMPDIR where a tmpfs
// keeps no attributes of users (before Linux 6.6), which overlay mounts need. It is
// called before Main, and what it returns after.
func (o *Options) OnDisk() (remove func()) {
	switch os.Getenv(stageVar) {
	case "":
	case "test":
		if dir := os.Getenv(diskVar); dir != "" {
			os.Setenv("TMPDIR", dir)
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
		if err == nil && unix.Setxattr(dir, "user.coracle", []byte("y"), 0) == nil {
			os.Setenv(diskVar, dir)
			o.Writable = append(o.Writable, dir)
			return func() { os.RemoveAll(dir) }
		}
		os.Remove(dir)
	}
	return func() {}
}
