package namespaces

import "coracle/internal/exercise"

// Exercise 1.5: masked and read-only paths
//
// /proc and /sys are mostly about the whole machine, also when they are mounted
// in a container: /proc/kcore is its memory, /proc/sys its settings. What a
// container must not see is covered by another mount, and what it must not change
// is bound on itself, read-only. A mount covers what is below it for everyone in
// the mount namespace, root included, who can only take it away again with
// CAP_SYS_ADMIN (and not even so in a user namespace below, mount_namespaces(7)).
//
// Two rules of mount(2) trip nearly everyone:
//   - flags given in the call that binds are ignored, MS_RDONLY too (MS_BIND): a
//     bind becomes read-only in a second step;
//   - that step by MS_REMOUNT|MS_BIND sets all flags of the mount. In a user
//     namespace the flags that came from outside are locked (mount_namespaces(7),
//     RESTRICTIONS ON MOUNT NAMESPACES): a remount that leaves out the nosuid that
//     was there is refused with EPERM. Say again what statfs(2) reports, or change
//     one flag and leave the others, with mount_setattr(2).
//
// Delete this line when you start:
var _ = todo("1.5")

// Mask makes each path unreadable: a directory is covered with an empty read-only
// tmpfs, everything else with the null device. Both functions are called after
// the pivot, so that a link cannot lead out of the container, and are given
// absolute paths. A path that does not exist is skipped (kernels and images
// differ), the others are still treated; of a link, what it leads to. Nothing else
// is skipped: what could not be covered is an error.
//
//	Mask([]string{"/proc/kcore", "/proc/asound", "/no/such"}) → nil; /proc/kcore
//	reads as empty, /proc/asound lists nothing
//
// The null device is /dev/null, but only if it is one: in a root of unknown origin
// that name can be any file, which binding would put in the path's place. Mask
// opens it (O_PATH|O_NOFOLLOW), looks at what it opened (fstat(2): a character
// device 1:3), and binds that, as /proc/self/fd/N. Anything else is an error.
//
// Errors: one line that names the path: "mask /proc/kcore: …".
//
// Done when: `./lab test 1.5` is green. May use: os.Stat, errors.Is with
// fs.ErrNotExist, and of golang.org/x/sys/unix: Open, Fstat, Major, Minor, Mount,
// MountSetattr, Statfs.
func Mask(paths []string) error {
	return exercise.Unwritten("1.5")
}

// Readonly makes each path, and every mount below it, refuse writing with EROFS;
// all that was mounted below stays in sight. The same tree stays writable where it
// is reached by another mount. A path that does not exist is skipped here too.
//
//	Readonly([]string{"/proc/sys"}) → nil; writing /proc/sys/kernel/hostname fails: EROFS
//
// Errors: one line that names the path: "make /proc/sys read-only: …".
func Readonly(paths []string) error {
	return exercise.Unwritten("1.5")
}
