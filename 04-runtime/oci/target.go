package oci

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// No place in a container's root is ever named by its path from outside: an image
// may hold a link that leads out, and another container that shares a volume may put
// one there between a look and a mount (CVE-2021-30465). It is opened below the root,
// as if that were / already, and what is mounted goes onto the descriptor.

func clean(p string) string { return path.Clean("/" + p) }

const (
	inRoot  = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	noLinks = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS
)

// openTarget opens a mount point below root (O_PATH), a folder or a file, and makes it
// if it is missing. Links are followed within the root, those to nowhere too: then
// what they name is made.
func openTarget(root int, target string, dir bool) (int, error) {
	for range 40 { // as many links as the kernel follows
		fd, err := unix.Openat2(root, target, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: inRoot})
		if !errors.Is(err, unix.ENOENT) {
			return fd, err
		}
		if target, err = makeTarget(root, target, dir); err != nil {
			return -1, fmt.Errorf("make the mount point: %w", err)
		}
	}
	return -1, unix.ELOOP
}

// makeTarget makes what is missing of a path. At a link to nowhere it stops and
// returns the path with the link's text in its place.
func makeTarget(root int, target string, dir bool) (string, error) {
	at, err := unix.Openat2(root, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inRoot})
	if err != nil {
		return "", err
	}
	defer func() { unix.Close(at) }()
	parts := strings.FieldsFunc(target, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		folder := dir || i < len(parts)-1
		if folder {
			err = unix.Mkdirat(at, part, 0o755)
		} else {
			err = unix.Mknodat(at, part, unix.S_IFREG|0o644, 0)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return "", err
		}
		next, err := unix.Openat2(root, strings.Join(parts[:i+1], "/"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: inRoot})
		if errors.Is(err, unix.ENOENT) {
			link := make([]byte, unix.PathMax)
			n, err := unix.Readlinkat(at, part, link)
			if err != nil {
				return "", err
			}
			before := parts[:i]
			if link[0] == '/' {
				before = nil
			}
			return strings.Join(append(append(before[:len(before):len(before)], string(link[:n])), parts[i+1:]...), "/"), nil
		}
		if err != nil {
			return "", err
		}
		unix.Close(at)
		at = next
	}
	return target, nil
}

// fdPath names what a descriptor refers to: a magic link, so that no path is looked
// up a second time.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
