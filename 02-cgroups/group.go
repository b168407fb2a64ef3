package cgroups

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Group is one folder of the cgroup v2 tree. Making one costs nothing and
// changes nothing: the folder is the state.
type Group struct{ dir string }

// Open returns the group whose folder dir is. A folder elsewhere is an error.
func Open(dir string) (*Group, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir+"/.", &st); err != nil {
		return nil, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is no folder of a cgroup2 file system", dir)
	}
	return &Group{dir: filepath.Clean(dir)}, nil
}

// Dir returns the folder.
func (g *Group) Dir() string { return g.dir }

// Read returns what one of the group's files says, without the last line's end.
func (g *Group) Read(file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, file))
	return strings.TrimSuffix(string(b), "\n"), err
}

// Write writes one of the group's files. The kernel takes each write(2) as one
// complete value, so there is exactly one. The error holds value and path: EINVAL
// alone would say nothing.
func (g *Group) Write(file, value string) error {
	path := filepath.Join(g.dir, file)
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := unix.Write(int(f.Fd()), []byte(value)); err != nil {
		return fmt.Errorf("write %q: %w", value, &fs.PathError{Op: "write", Path: path, Err: err})
	}
	return nil
}

// Set writes values in order and stops at the first that is refused. A kernel
// without swap has no memory.swap.max, and then needs none.
func (g *Group) Set(values []Value) error {
	for _, v := range values {
		err := g.Write(v.File, v.Text)
		if v.File == "memory.swap.max" && os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
