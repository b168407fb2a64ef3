package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"

	podpkg "coracle/04-runtime/pod"
)

// emptyDir makes a folder that everybody may use, or a tmpfs. What is there stays.
func (v *Volumes) emptyDir(pod *corev1.Pod, vol *corev1.Volume) error {
	dir := v.path(pod, vol)
	switch vol.EmptyDir.Medium {
	case corev1.StorageMediumDefault:
		if err := makeFolder(dir, 0o777); err != nil {
			return err
		}
	case corev1.StorageMediumMemory:
		if err := makeFolder(dir, 0o750); err != nil {
			return err
		}
		if err := mountTmpfs(dir, 0o777, fmt.Sprintf("size=%d", v.memorySize(pod, vol.EmptyDir))); err != nil {
			return err
		}
	default:
		return fmt.Errorf("emptyDir of medium %s: this node has none", vol.EmptyDir.Medium)
	}
	return setGroup(dir, pod, 0o660)
}

// memorySize is how large a tmpfs may grow: its limit, but no more than the pod may use
// or the node has (pkg/volume/emptydir/empty_dir.go, calculateEmptyDirMemorySize). 0, where
// none of these is known, is no limit to a tmpfs: then the pod's group is.
func (v *Volumes) memorySize(pod *corev1.Pod, e *corev1.EmptyDirVolumeSource) int64 {
	size := v.Node.Memory
	if limit := podpkg.PodResources(pod).MemoryLimit; limit > 0 && (size == 0 || limit < size) {
		size = limit
	}
	if e.SizeLimit != nil && e.SizeLimit.Sign() > 0 && (size == 0 || e.SizeLimit.Value() < size) {
		size = e.SizeLimit.Value()
	}
	return size
}

// makeFolder makes a folder with a mode that no umask takes from. One that is there
// keeps its own, which a container may have changed.
func makeFolder(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		fi, err := os.Lstat(dir)
		if err == nil && !fi.IsDir() {
			err = fmt.Errorf("%s is no folder", dir)
		}
		return err
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// An Over is a volume that holds more than it may: the pod is to be evicted.
type Over struct {
	Volume      string
	Used, Limit int64 // bytes
	Message     string
}

// Exceeded measures the emptyDirs of a pod that have a size limit, and returns the
// first that is over it; nil if none is.
func (v *Volumes) Exceeded(pod *corev1.Pod) (*Over, error) {
	for i := range pod.Spec.Volumes {
		vol := &pod.Spec.Volumes[i]
		if vol.EmptyDir == nil || vol.EmptyDir.SizeLimit == nil || vol.EmptyDir.SizeLimit.Sign() <= 0 {
			continue
		}
		used, err := usage(v.path(pod, vol))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("measure volume %q: %w", vol.Name, err)
		}
		if limit := vol.EmptyDir.SizeLimit; used > limit.Value() {
			return &Over{vol.Name, used, limit.Value(),
				fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", vol.Name, limit.String())}, nil
		}
	}
	return nil, nil
}

// usage is what a folder occupies, a file with several names once. It looks through an
// os.Root: containers write there, and a link that appears must lead to no other place.
func usage(dir string) (bytes int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	seen := map[uint64]bool{}
	var device uint64
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if path == "." {
			device = uint64(st.Dev)
			return nil // the folder itself is ours
		}
		if uint64(st.Dev) != device { // mounted there: not in the volume
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !seen[st.Ino] {
			seen[st.Ino] = true
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes, err
}
