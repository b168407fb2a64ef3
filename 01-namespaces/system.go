package namespaces

import "coracle/internal/exercise"

// Exercise 1.4: /proc, /sys, /dev
//
// Programs expect three file systems that no image holds. /proc shows the PID
// namespace of the process that mounts it, /sys the network namespace, and /dev
// must hold a handful of device nodes and nothing of the machine's disks.
//
// The root may come from a stranger. If it has a link proc → /etc, a plain
// mount(2) on root+"/proc" would follow it, before the pivot, to the caller's own
// /etc. So no target is ever named by its path: it is opened below root without
// following a link (openat2(2), RESOLVE_NO_SYMLINKS and RESOLVE_BENEATH, O_PATH),
// and the mount goes onto that descriptor, which has the name /proc/self/fd/N.
// Open a target anew after each mount: a descriptor stays with what it opened,
// below whatever is mounted on top later.
//
//	where       type    flags                 options
//	proc        proc    nosuid,nodev,noexec
//	sys         sysfs   nosuid,nodev,noexec,ro
//	dev         tmpfs   nosuid                mode=755
//	dev/pts     devpts  nosuid,noexec         newinstance,ptmxmode=0666,mode=0620,gid=5
//	dev/shm     tmpfs   nosuid,nodev,noexec   mode=1777
//	dev/mqueue  mqueue  nosuid,nodev,noexec
//
//	dev/null 1:3, zero 1:5, full 1:7, random 1:8, urandom 1:9, tty 5:0: mode 666
//	dev/ptmx → pts/ptmx, dev/fd → /proc/self/fd,
//	dev/stdin → /proc/self/fd/0, stdout → 1, stderr → 2
//
// Three things differ without real root (user_namespaces(7)):
//   - mknod(2) of a device is refused with EPERM: make an empty file and bind the
//     caller's node on it;
//   - gid=5, the group tty, is refused with EINVAL where no id 5 is mapped: mount
//     devpts without it then;
//   - sysfs belongs to the owner of the network namespace: if that is the host's,
//     mounting it is refused with EPERM. Take a copy of the caller's /sys instead,
//     with all that is mounted on it (MS_BIND|MS_REC, or open_tree(2)), and make all
//     of it read-only (mount_setattr(2) with AT_RECURSIVE).
//
// Mode bits given to mkdir, mknod and open pass through the umask; set it to 0 or
// chmod afterwards.
//
// Delete this line when you start:
var _ = todo("1.4")

// MountSystem mounts the above below root, which is not yet /. The calling
// process has mount, PID and IPC namespaces of its own, its mounts do not
// propagate, and its /proc is still the caller's. A directory that is missing is
// made (mode 755).
//
// Example: in a new PID namespace, after MountSystem("/srv/alpine") the link
// /srv/alpine/proc/self says "1" and /srv/alpine/dev/null takes what one writes.
//
// Errors: one line that names the file system and its place, such as
// "mount sysfs on /srv/alpine/sys: operation not permitted"; a place that is a
// symbolic link or no directory is an error, wherever the link points, and
// nothing is mounted through it.
//
// Done when: `./lab test 1.4` is green. May use, of golang.org/x/sys/unix:
// Open, Openat, Openat2, Mkdirat, Mount, OpenTree, MountSetattr, MoveMount, Mknodat,
// Mkdev, Symlinkat, Fchmodat, Umask, Close.
func MountSystem(root string) error {
	return exercise.Unwritten("1.4")
}
