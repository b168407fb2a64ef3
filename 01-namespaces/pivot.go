package namespaces

import "coracle/internal/exercise"

// Exercise 1.3: pivot_root with private propagation
//
// A new mount namespace is a copy: all of the caller's file system is still in
// it. pivot_root(2) exchanges the root: one mount becomes /, and what was / is
// moved below it, from where it can be unmounted. After that there is no path,
// no "..", and no second chroot that leads back, which is why it is not chroot(2).
//
// Four rules of the kernel decide the order:
//   - a copy of a shared mount is its peer: what is mounted in one appears in the
//     other, and pivot_root refuses with EINVAL while / or the mount that the new
//     root lies on is shared (mount_namespaces(7), SHARED SUBTREES; pivot_root(2),
//     NOTES). So everything is made private first, and recursively: each mount
//     has a propagation type of its own;
//   - the new root must be a mount point, and a directory is not one. Binding it
//     on itself makes it one (pivot_root(2)); recursively, or what was mounted
//     below it before (/proc, /dev) stays behind;
//   - with "." for both places, the old root lands on top of the new one, and no
//     folder is needed for it (pivot_root(2), NOTES, `pivot_root(".", ".")`);
//   - the old root is busy, /proc and all are mounted below it: only a lazy
//     unmount takes the whole tree (umount2(2), MNT_DETACH).
//
// Delete this line when you start:
var _ = todo("1.3")

// PivotRoot makes the directory root the file system root of the calling process,
// whose mount namespace must be its own, together with what is mounted below it.
// The old root is gone afterwards, and the working directory is the new /.
//
// With readonly the mount of / refuses writing (EROFS) and keeps its other flags
// (nosuid, nodev …); mounts below it, such as /dev, stay as they are. Mind that
// MS_RDONLY in the call that binds is ignored (mount(2), MS_BIND): it takes a second
// call. mount_setattr(2) sets one flag; a remount sets all of them anew.
//
//	PivotRoot("/srv/alpine", false) → nil, and / holds bin, etc, home, …
//	PivotRoot("/etc/passwd", false) → "pivot_root to /etc/passwd: not a directory"
//
// Errors: one line that names root and the step. Found before anything is
// changed: root does not exist; it is no directory; its last component is a
// symbolic link. A link may be somebody else's work by the time it is followed,
// so whoever starts a container resolves it with his own eyes and passes the
// result. Links in the folders above are the owner's business and are followed.
//
// Done when: `./lab test 1.3` is green. May use: os.Lstat, and of
// golang.org/x/sys/unix: Mount, MountSetattr (with AT_FDCWD and a MountAttr),
// Chdir, PivotRoot, Unmount.
func PivotRoot(root string, readonly bool) error {
	return exercise.Unwritten("1.3")
}
