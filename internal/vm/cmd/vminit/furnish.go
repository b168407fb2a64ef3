package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"coracle/internal/vm/wire"
)

const learner = 1000

// furnish gives the real root what a program expects to find: mounts, users, a loopback that is up, limits lifted.
func furnish(job wire.Job) error {
	if err := mountAll("", laterMounts); err != nil {
		return err
	}
	for path, mode := range map[string]fs.FileMode{
		"/tmp": fs.ModeSticky | 0o777, "/var/tmp": fs.ModeSticky | 0o777, "/root": 0o755 /* a checkout may lie in it */, "/etc": 0o755, "/home": 0o755,
		"/home/learner": 0o755, "/run/user": 0o755, "/run/user/1000": 0o700,
	} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	for _, path := range []string{"/home/learner", "/run/user/1000"} {
		if err := os.Chown(path, learner, learner); err != nil {
			return err
		}
	}
	for path, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nlearner:x:1000:1000::/home/learner:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
		"/etc/group":  "root:x:0:\ntty:x:5:\nlearner:x:1000:\nnogroup:x:65534:\n",
		"/etc/subuid": "learner:100000:65536\n", "/etc/subgid": "learner:100000:65536\n",
		"/etc/hosts":    "127.0.0.1 localhost " + job.Hostname + "\n::1 localhost\n",
		"/etc/hostname": job.Hostname + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink("/proc/self/"+target, "/dev/"+name); err != nil && !os.IsExist(err) {
			return err
		}
	}
	for path, value := range map[string]string{
		"kernel/modprobe": wire.Dir + "/init", "kernel/hostname": job.Hostname,
		"kernel/unprivileged_userns_clone":             "1", // Debian's and Ubuntu's own switches,
		"kernel/apparmor_restrict_unprivileged_userns": "0", // absent elsewhere
	} {
		err := os.WriteFile("/proc/sys/"+path, []byte(value), 0)
		if err != nil && !(os.IsNotExist(err) && strings.Contains(path, "unprivileged")) {
			return err
		}
	}
	if err := makeNodes(); err != nil {
		return fmt.Errorf("make device files: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return enableControllers("/sys/fs/cgroup")
}

// makeNodes makes those that udev and kmod would, open to everybody where udev opens them.
func makeNodes() error {
	text, err := os.ReadFile(wire.Dir + "/modules/index")
	if err != nil {
		return err
	}
	for _, n := range parseNodes(string(text)) {
		path := filepath.Join("/dev", n.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if n.path == "net/tun" || n.path == "fuse" {
			mode = 0o666
		}
		if err := unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(n.major, n.minor))); err != nil && err != unix.EEXIST {
			return err
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
