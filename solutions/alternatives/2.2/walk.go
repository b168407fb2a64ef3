// Alternative: one walk lists the folders, which are then removed from the last to the first.
package cgroups

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func SubtreeControl(available, enabled, want []string) (string, error) {
	var line strings.Builder
	for _, c := range want {
		if slices.Index(available, c) < 0 {
			return "", fmt.Errorf("no controller %q here", c)
		}
		if slices.Index(enabled, c) >= 0 {
			continue
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString("+" + c)
	}
	return line.String(), nil
}

func (g *Group) Child(name string) (*Group, error) {
	if name == "" || name == "." || filepath.Base(name) != name || name == ".." || strings.Contains(name, "\n") {
		return nil, fmt.Errorf("%q is no name for a group", name)
	}
	child := &Group{filepath.Join(g.dir, name)}
	switch err := unix.Mkdir(child.dir, 0o755); err {
	case nil:
		return child, nil
	case unix.EEXIST:
		if fi, err := os.Lstat(child.dir); err != nil || !fi.IsDir() {
			return nil, fmt.Errorf("%s is not a group", child.dir)
		}
		return child, nil
	default:
		return nil, fmt.Errorf("mkdir %s: %w", child.dir, err)
	}
}

func (g *Group) Enable(controllers ...string) error {
	have, err := g.Read("cgroup.controllers")
	if err != nil {
		return err
	}
	on, err := g.Read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	line, err := SubtreeControl(strings.Fields(have), strings.Fields(on), controllers)
	if err != nil {
		return fmt.Errorf("enable below %s: %w", g.dir, err)
	}
	if line == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(g.dir, "cgroup.type")); err == nil {
		for moved, tries := -1, 0; moved != 0; tries++ {
			if tries > 50 {
				return fmt.Errorf("%s is never empty", g.dir)
			}
			if moved, err = g.refMoveOnce(); err != nil {
				return err
			}
		}
	}
	return g.Write("cgroup.subtree_control", line)
}

func (g *Group) refMoveOnce() (int, error) {
	f, err := os.Open(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		leaf, err := g.Child("leaf")
		if err != nil {
			return n, err
		}
		if err := leaf.Write("cgroup.procs", s.Text()); err != nil && !errors.Is(err, unix.ESRCH) {
			return n, err
		}
	}
	return n, nil
}

func (g *Group) Remove() error {
	var dirs []string
	err := filepath.WalkDir(g.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove group %s: %w", dir, err)
		}
	}
	return nil
}
