package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// checkHostPath holds a path of the node against its type, and makes it where the type
// says so. With no type nothing is looked at, and a folder is made where nothing is, as
// containerd does.
func checkHostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	fi, err := os.Stat(h.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	is := func(ok bool, what string) error {
		if missing || !ok {
			return fmt.Errorf("hostPath type check failed: %s is not a %s", h.Path, what)
		}
		return nil
	}
	mode := fs.FileMode(0)
	if !missing {
		mode = fi.Mode()
	}
	switch kind {
	case corev1.HostPathUnset:
		if missing {
			return os.MkdirAll(h.Path, 0o755)
		}
		return nil
	case corev1.HostPathDirectoryOrCreate:
		if missing {
			return os.MkdirAll(h.Path, 0o755)
		}
		return is(mode.IsDir(), "directory")
	case corev1.HostPathDirectory:
		return is(mode.IsDir(), "directory")
	case corev1.HostPathFileOrCreate:
		if missing { // its folder must be there
			f, err := os.OpenFile(h.Path, os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			return f.Close()
		}
		return is(mode.IsRegular(), "file")
	case corev1.HostPathFile:
		return is(mode.IsRegular(), "file")
	case corev1.HostPathSocket:
		return is(mode&fs.ModeSocket != 0, "socket file")
	case corev1.HostPathCharDev:
		return is(mode&fs.ModeCharDevice != 0, "character device")
	case corev1.HostPathBlockDev:
		return is(mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0, "block device")
	}
	return fmt.Errorf("%s is an invalid volume type", kind)
}
