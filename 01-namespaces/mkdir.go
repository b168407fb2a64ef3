package namespaces

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// makeTarget makes a folder, or an empty file to bind a file on, with the folders
// above it. Each part is opened below root, never through a symlink out of it.
func makeTarget(root int, target string, dir bool) error {
	at, err := unix.Dup(root)
	if err != nil {
		return err
	}
	defer func() { unix.Close(at) }()
	parts := strings.Split(strings.TrimPrefix(path.Clean("/"+target), "/"), "/")
	for i, part := range parts {
		if i == len(parts)-1 && !dir {
			fd, err := unix.Openat(at, part, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}
		if err := unix.Mkdirat(at, part, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		next, err := unix.Openat2(root, strings.Join(parts[:i+1], "/"),
			&unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_DIRECTORY, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			return err
		}
		unix.Close(at)
		at = next
	}
	return nil
}
