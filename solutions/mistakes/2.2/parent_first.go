// Mistake: the parent is removed before its children
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func SubtreeControl(available, enabled, want []string) (string, error) {
	var plus []string
	for _, c := range want {
		if !slices.Contains(available, c) {
			return "", fmt.Errorf("controller %s is not available (%s): the parent must enable it first", c, strings.Join(available, " "))
		}
		if !slices.Contains(enabled, c) {
			plus = append(plus, "+"+c)
		}
	}
	return strings.Join(plus, " "), nil
}
func (g *Group) Child(name string) (*Group, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\n") {
		return nil, fmt.Errorf("group name %q: want one plain folder name", name)
	}
	dir := filepath.Join(g.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Open(dir) // a file of the kernel's, such as cgroup.procs, is no group
}
func (g *Group) Enable(controllers ...string) error {
	available, err := g.Read("cgroup.controllers")
	if err != nil {
		return err
	}
	enabled, err := g.Read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	line, err := SubtreeControl(strings.Fields(available), strings.Fields(enabled), controllers)
	if err != nil {
		return fmt.Errorf("%s: %w", g.dir, err)
	}
	if line == "" {
		return nil
	}
	if err := g.refVacate(); err != nil {
		return err
	}
	return g.Write("cgroup.subtree_control", line)
}
func (g *Group) refVacate() error {
	if _, err := g.Read("cgroup.type"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for range 100 {
		pids, err := g.Read("cgroup.procs")
		if err != nil || pids == "" {
			return err
		}
		leaf, err := g.Child("leaf")
		if err != nil {
			return err
		}
		for _, pid := range strings.Fields(pids) {
			if err := leaf.Write("cgroup.procs", pid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s: processes keep appearing", g.dir)
}
func (g *Group) Remove() error {
	entries, err := os.ReadDir(g.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Rmdir(g.dir); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: g.dir, Err: err}
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := (&Group{filepath.Join(g.dir, e.Name())}).Remove(); err != nil {
				return err
			}
		}
	}
	return nil
}
