package build

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// errEscapes: a link leads out of the tree that it is in.
var errEscapes = errors.New("it leads out")

// maxLinks is the kernel's own limit (path_resolution(7)).
const maxLinks = 40

// resolve follows the symbolic links of a name below root and returns the name
// without any, "." for root itself. What is not there is kept as it is written. In
// a guest, / and what is above it are root, as a process in a container sees it;
// otherwise a link that is absolute or leads above root is errEscapes.
//
// The name that is returned is used with root (os.Root) again: whoever changes the
// tree meanwhile can make that fail, or lead elsewhere in root, and no further.
func resolve(root *os.Root, name string, guest bool) (string, error) {
	at, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." && !guest {
				return "", errEscapes
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		to, err := root.Readlink(next)
		if err != nil { // no link, or not there
			if fi, e := root.Lstat(next); e != nil && !errors.Is(e, fs.ErrNotExist) || e == nil && fi.Mode()&fs.ModeSymlink != 0 {
				return "", err
			}
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: errors.New("too many links")}
		}
		if path.IsAbs(to) {
			if !guest {
				return "", errEscapes
			}
			at = "."
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return at, nil
}

// mkdirAll makes a folder of a guest and those above it, and returns its name
// without links. made is called with each that is new.
func mkdirAll(root *os.Root, name string, made func(name string) error) (string, error) {
	at := "."
	for _, part := range strings.Split(path.Clean("/" + name)[1:], "/") {
		next, err := resolve(root, path.Join(at, part), true)
		if err != nil {
			return "", err
		}
		fi, err := root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if path.Dir(next) != at { // a link leads to where nothing is
				if _, err := mkdirAll(root, path.Dir(next), made); err != nil {
					return "", err
				}
			}
			if err := root.Mkdir(next, 0o755); err != nil {
				return "", err
			}
			if err := made(next); err != nil {
				return "", err
			}
		case err != nil:
			return "", err
		case !fi.IsDir():
			return "", &fs.PathError{Op: "mkdir", Path: "/" + next, Err: errors.New("there is a file of that name")}
		}
		at = next
	}
	return at, nil
}
