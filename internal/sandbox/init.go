package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// asInit is PID 1: it closes the file system and gives up what no test may have.
// Every call here acts on the one thread that later forks the tests.
func asInit() error {
	ready := os.NewFile(3, "gate")
	if n, _ := ready.Read(make([]byte, 1)); n != 1 {
		return errors.New("the outer process gave up")
	}
	ready.Close()
	if err := becomeRoot(); err != nil {
		return err
	}
	if err := enterGroup(); err != nil {
		return err
	}
	if err := closeFileSystem(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	return dropCaps(unix.CAP_SYS_BOOT, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME)
}

// becomeRoot takes id 0 of the user namespace, which in Range mode the process
// does not have yet: it was executed before its ids were mapped.
func becomeRoot() error {
	if os.Getenv(modeVar) != string(Range) {
		return nil
	}
	if err := unix.Setresgid(0, 0, 0); err != nil {
		return fmt.Errorf("setresgid 0: %w", err)
	}
	if err := unix.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := unix.Setresuid(0, 0, 0); err != nil {
		return fmt.Errorf("setresuid 0: %w", err)
	}
	// A change of ids clears the parent-death signal (prctl(2)).
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}

// closeFileSystem makes everything private and read-only, with fresh /proc and
// /sys and a tmpfs for TMPDIR.
func closeFileSystem() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	outputs := outputDirs()
	for _, dir := range outputs {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
	}
	ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &ro); err != nil {
		return fmt.Errorf("make / read-only (mount_setattr needs Linux 5.12): %w", err)
	}
	for _, dir := range outputs {
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make %s writable: %w", dir, err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc on /proc (inside a container it needs an unmasked /proc): %w", err)
	}
	if err := freshSys(); err != nil {
		return err
	}
	tmp, err := tmpDir()
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", tmp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=1g"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", tmp, err)
	}
	return os.Setenv("TMPDIR", tmp)
}

// freshSys mounts the sysfs of the new network namespace, and below it either
// the groups that the tests own or the host's, read-only.
func freshSys() error {
	const groups = "/sys/fs/cgroup"
	tree, err := unix.OpenTree(unix.AT_FDCWD, groups, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		tree = -1 // no cgroup file system at all
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount sysfs on /sys: %w", err)
	}
	if tree < 0 {
		return nil
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, groups, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move the groups to %s: %w", groups, err)
	}
	return mountOwnGroups(groups)
}

// tmpDir picks an existing folder to hide: never one that holds the binary, the
// working directory or a file that was asked for.
func tmpDir() (string, error) {
	exe, _ := os.Readlink("/proc/self/exe")
	wd, _ := os.Getwd()
	busy := append(outputDirs(), exe, wd)
next:
	for _, dir := range []string{"/dev/shm", "/media", "/mnt", "/srv"} {
		fi, err := os.Lstat(dir)
		if err != nil || !fi.IsDir() {
			continue
		}
		for _, b := range busy {
			if rel, err := filepath.Rel(dir, b); err == nil && !strings.HasPrefix(rel, "..") {
				continue next
			}
		}
		return dir, nil
	}
	return "", errors.New("no folder for TMPDIR: want one of /dev/shm, /media, /mnt, /srv")
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
