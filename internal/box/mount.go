package box

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mountFlag gives the bits that an option of mount(8) sets or clears.
func mountFlag(o string) (set, clear uintptr, ok bool) {
	on := map[string]uintptr{"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME, "sync": unix.MS_SYNCHRONOUS,
		"remount": unix.MS_REMOUNT, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC, "move": unix.MS_MOVE,
		"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC, "slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
		"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC, "unbindable": unix.MS_UNBINDABLE, "defaults": 0}
	off := map[string]uintptr{"rw": unix.MS_RDONLY, "suid": unix.MS_NOSUID, "dev": unix.MS_NODEV, "exec": unix.MS_NOEXEC, "atime": unix.MS_NOATIME}
	if set, ok = on[o]; !ok {
		clear, ok = off[o]
	}
	return set, clear, ok
}

// mounts reads /proc/self/mounts: source, target, type, options.
func (c *cmd) mounts() [][]string {
	data, err := os.ReadFile("/proc/self/mounts")
	c.check(err)
	var all [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if f := strings.Fields(line); len(f) >= 4 {
			all = append(all, f)
		}
	}
	return all
}

func mount(c *cmd) {
	spec := "t: o: r w"
	for _, long := range []string{"bind", "rbind", "move", "make-private", "make-rprivate", "make-slave", "make-rslave", "make-shared", "make-rshared", "make-unbindable"} {
		spec += " " + long
	}
	f := c.parse(spec, 0)
	if len(c.args) == 0 && len(f) <= 1 {
		for _, m := range c.mounts() {
			if t, ok := f["t"]; !ok || t == m[2] {
				fmt.Fprintf(c.out, "%s on %s type %s (%s)\n", m[0], m[1], m[2], m[3])
			}
		}
		return
	}
	var bits uintptr
	var data []string
	opts := strings.Split(f["o"], ",")
	for name := range f {
		if len(name) > 1 {
			opts = append(opts, strings.TrimPrefix(name, "make-"))
		}
	}
	if f.has("r") {
		opts = append(opts, "ro")
	}
	for _, o := range opts {
		set, clear, ok := mountFlag(o)
		if bits = bits&^clear | set; !ok && o != "" {
			data = append(data, o)
		}
	}
	source, target := "none", c.args[len(c.args)-1]
	if len(c.args) == 2 {
		source = c.args[0]
	} else if len(c.args) > 2 || !f.has("t") && bits&(unix.MS_REMOUNT|unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_SHARED|unix.MS_UNBINDABLE) == 0 {
		c.misuse()
	}
	err := unix.Mount(source, target, f["t"], bits, strings.Join(data, ","))
	// A bind mount ignores every other flag (mount(2)): they need a second call.
	if more := bits &^ (unix.MS_BIND | unix.MS_REC); err == nil && bits&unix.MS_BIND != 0 && more != 0 && bits&unix.MS_REMOUNT == 0 {
		err = unix.Mount("none", target, "", more|unix.MS_BIND|unix.MS_REMOUNT, "")
	}
	c.check(on(target, err))
}

func umount(c *cmd) {
	f := c.parse("l f", 1)
	bits := 0
	if f.has("l") {
		bits |= unix.MNT_DETACH
	}
	if f.has("f") {
		bits |= unix.MNT_FORCE
	}
	for _, target := range c.args {
		if err := unix.Unmount(target, bits); err != nil {
			c.warn(on(target, err))
		}
	}
}
