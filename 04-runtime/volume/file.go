package volume

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// maxFile is what is read of a file that a container wrote.
const maxFile = 64 << 10

// File reads a file of an emptyDir, for the variables that a container takes from one
// that another container wrote. Whoever wrote it may have put a link there, a pipe or
// a terabyte: it is opened within the volume, without waiting, and read up to a limit.
func (v *Volumes) File(pod *corev1.Pod, volume, path string) ([]byte, error) {
	if _, err := v.podDir(pod.UID); err != nil {
		return nil, err
	}
	n := slices.IndexFunc(pod.Spec.Volumes, func(vol corev1.Volume) bool { return vol.Name == volume })
	if n < 0 || pod.Spec.Volumes[n].EmptyDir == nil {
		return nil, fmt.Errorf("the pod has no emptyDir of this name")
	}
	root, err := os.OpenRoot(v.path(pod, &pod.Spec.Volumes[n]))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is no file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return b, err
}
