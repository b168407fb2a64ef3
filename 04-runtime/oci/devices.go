package oci

import (
	"errors"
	"fmt"
	"os"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultDevices are those that every container has (config-linux.md, "Default
// Devices"), but /dev/console, which is a terminal, and /dev/ptmx, a link.
var defaultDevices = []specs.LinuxDevice{
	{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}, {Path: "/dev/zero", Type: "c", Major: 1, Minor: 5},
	{Path: "/dev/full", Type: "c", Major: 1, Minor: 7}, {Path: "/dev/random", Type: "c", Major: 1, Minor: 8},
	{Path: "/dev/urandom", Type: "c", Major: 1, Minor: 9}, {Path: "/dev/tty", Type: "c", Major: 5},
}

var deviceLinks = [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"}}

// makeDevices makes the devices of the spec and the default ones that it does not
// name, and the links in /dev.
func makeDevices(root int, spec *specs.Spec) error {
	var devices []specs.LinuxDevice
	named := map[string]bool{}
	if spec.Linux != nil {
		for _, d := range spec.Linux.Devices {
			devices = append(devices, d)
			named[clean(d.Path)] = true
		}
	}
	for _, d := range defaultDevices {
		if !named[d.Path] {
			devices = append(devices, d)
		}
	}
	for _, d := range devices {
		if err := makeDevice(root, d); err != nil {
			return fmt.Errorf("make device %s: %w", d.Path, err)
		}
	}
	for _, l := range deviceLinks {
		if _, err := os.Stat(l[1]); l[0] == "core" && err != nil {
			continue
		}
		if l[0] == "ptmx" {
			if err := replacePtmx(root); err != nil {
				return fmt.Errorf("make link /dev/ptmx: %w", err)
			}
		}
		if err := symlinkIn(root, "/dev", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

// replacePtmx takes away what an image has as /dev/ptmx: a node there would open
// terminals of another devpts.
func replacePtmx(root int) error {
	at, err := openTarget(root, "/dev", true)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	if err := unix.Unlinkat(at, "ptmx", 0); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EROFS) {
		return err
	}
	return nil
}

func symlinkIn(root int, dir, name, to string) error {
	at, err := openTarget(root, dir, true)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	if err := unix.Symlinkat(to, at, name); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("link %s/%s: %w", dir, name, err)
	}
	return nil
}

var deviceKinds = map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}

// makeDevice makes one node. Where mknod(2) is refused, in a user namespace, the
// caller's node of the same path and number is bound in its place.
func makeDevice(root int, d specs.LinuxDevice) error {
	kind, ok := deviceKinds[d.Type]
	if !ok {
		return fmt.Errorf("type %q: want c, b, u or p", d.Type)
	}
	name := path.Base(clean(d.Path))
	if name == "/" {
		return errors.New("its path names no file")
	}
	dir, err := openTarget(root, path.Dir(clean(d.Path)), true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(*d.FileMode & 0o7777)
	}
	rdev := 0
	if kind != unix.S_IFIFO {
		rdev = int(unix.Mkdev(uint32(d.Major), uint32(d.Minor)))
	}
	err = unix.Mknodat(dir, name, kind|mode, rdev)
	if errors.Is(err, unix.EPERM) {
		return bindDevice(dir, name, d, kind, uint64(rdev))
	}
	var st unix.Stat_t
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EROFS) {
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == kind && (kind == unix.S_IFIFO || st.Rdev == uint64(rdev)) {
			err = nil // the image has it
		} else if errors.Is(err, unix.EEXIST) {
			return errors.New("the image has another file there: take it out of the image")
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Fchownat(dir, name, int(value(d.UID)), int(value(d.GID)), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return nil
}

func bindDevice(dir int, name string, d specs.LinuxDevice, kind uint32, rdev uint64) error {
	source := clean(d.Path)
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("mknod is not allowed in a user namespace, and the machine's own cannot be bound: %w", err)
	}
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || st.Rdev != rdev {
		return fmt.Errorf("mknod is not allowed in a user namespace, and the machine's own %s is another device", source)
	}
	if err := unix.Mknodat(dir, name, unix.S_IFREG|0o666, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	target, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return attach(tree, target)
}
