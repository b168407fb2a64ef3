package volume

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// setGroup gives a volume to the pod's fsGroup: the group of every file, which may do
// what mask says (0660; 0440 where nobody writes), and folders that hand the group on
// to what is made in them. What is done is known by the volume's own folder, which
// comes last: with fsGroupChangePolicy OnRootMismatch and with Always, a volume that
// was given once is not walked through again. It came with the pod and holds nobody
// else's files (the API says that the policy does not concern such volumes).
func setGroup(dir string, pod *corev1.Pod, mask fs.FileMode) error {
	gid, ok := fsGroup(pod)
	if !ok {
		return nil
	}
	root, err := os.OpenRoot(dir) // a container that still runs may put links there
	if err != nil {
		return err
	}
	defer root.Close()
	if fi, err := root.Stat("."); err != nil || given(fi, gid, mask) {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if path == "." {
			return err
		}
		if err == nil {
			err = give(root, path, gid, mask)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	if err != nil {
		return err
	}
	return give(root, ".", gid, mask)
}

// setFolderGroup is setGroup of a folder alone.
func setFolderGroup(dir string, pod *corev1.Pod, mask fs.FileMode) error {
	gid, ok := fsGroup(pod)
	if !ok {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return give(root, ".", gid, mask)
}

func fsGroup(pod *corev1.Pod) (gid int, ok bool) {
	sc := pod.Spec.SecurityContext
	if sc == nil || sc.FSGroup == nil {
		return 0, false
	}
	return int(*sc.FSGroup), true
}

func give(root *os.Root, path string, gid int, mask fs.FileMode) error {
	// EINVAL: an agent in a user namespace without this id. All processes there have the
	// ids that there are; what counts is the mode.
	if err := root.Lchown(path, -1, gid); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	fi, err := root.Lstat(path)
	if err != nil || fi.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	mode := fi.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	return root.Chmod(path, mode|bits(fi, mask))
}

// bits are those that the group needs: on folders also to enter, and to hand on.
func bits(fi fs.FileInfo, mask fs.FileMode) fs.FileMode {
	if fi.IsDir() {
		return mask | 0o110 | fs.ModeSetgid
	}
	return mask
}

func given(fi fs.FileInfo, gid int, mask fs.FileMode) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Gid) == gid && fi.Mode()&bits(fi, mask) == bits(fi, mask)
}
