package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	namespaces "coracle/01-namespaces"
	"coracle/internal/base"
)

// build makes the spec that the flags describe.
func (o *options) build() (*namespaces.Spec, error) {
	if o.spec != "" {
		return o.fromFile()
	}
	root, err := o.rootDir()
	if err != nil {
		return nil, err
	}
	spec, err := namespaces.Default(root, o.command...)
	if err != nil {
		return nil, err
	}
	if o.hostname != "" {
		spec.Hostname = o.hostname
	}
	if o.writable {
		spec.Root.Readonly, spec.Tmpfs = false, nil
	}
	if o.net == "host" {
		spec.Namespaces = slices.DeleteFunc(spec.Namespaces, func(ns namespaces.Namespace) bool { return ns.Type == namespaces.Net })
	}
	for _, m := range o.binds {
		if m.Source, err = filepath.Abs(m.Source); err != nil {
			return nil, err
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	spec.Dir, spec.User = o.dir, o.user
	o.restrict(spec)
	o.environment(spec)
	return spec, nil
}

// restrict applies what the flags say of capabilities and seccomp to the defaults.
func (o *options) restrict(spec *namespaces.Spec) {
	keep := slices.Clone(*spec.Capabilities)
	if slices.Contains(o.drop, "ALL") || o.user != nil && o.user.UID != 0 {
		keep = []string{} // nil would mean all
	}
	keep = slices.DeleteFunc(keep, func(c string) bool { return slices.Contains(o.drop, c) })
	keep = append(keep, o.keep...)
	slices.Sort(keep)
	keep = slices.Compact(keep)
	spec.Capabilities = &keep
	if o.noSeccomp {
		spec.Seccomp = nil
	}
	spec.Terminal = o.wantsTTY()
}

func (o *options) environment(spec *namespaces.Spec) {
	if term := os.Getenv("TERM"); term != "" && spec.Terminal {
		spec.Env = append(spec.Env, "TERM="+term)
	}
	for _, e := range o.env {
		name, _, _ := strings.Cut(e, "=")
		spec.Env = slices.DeleteFunc(spec.Env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		spec.Env = append(spec.Env, e)
	}
}

func (o *options) wantsTTY() bool {
	if o.noTTY || o.tty {
		return o.tty
	}
	return namespaces.IsTerminal(os.Stdin) && namespaces.IsTerminal(os.Stdout)
}

// fromFile reads --spec, which is the whole truth but for what the flags beside it say.
func (o *options) fromFile() (*namespaces.Spec, error) {
	for name := range o.given {
		if !slices.Contains([]string{"spec", "name", "tty", "no-tty"}, name) {
			return nil, fmt.Errorf("--%s and --spec exclude each other: say it in the spec", name)
		}
	}
	f, err := os.Open(o.spec)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	spec, err := namespaces.ReadSpec(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.spec, err)
	}
	if len(o.command) > 0 {
		spec.Args = o.command
	}
	if o.tty || o.noTTY {
		spec.Terminal = o.tty
	}
	return spec, nil
}

// rootDir returns the root as an absolute path without links in it: what the
// user means is resolved here, with the user's eyes, and nothing later follows one.
func (o *options) rootDir() (string, error) {
	if o.given["root"] && o.root == "" {
		return "", errors.New("--root is empty")
	}
	dir := o.root
	if dir == "" {
		var err error
		if dir, err = base.Current(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("--root: %w", err)
	}
	if fi, err := os.Stat(real); err != nil || !fi.IsDir() {
		return "", fmt.Errorf("--root %s: not a directory", dir)
	}
	if real == "/" {
		return "", errors.New("--root /: the root cannot be moved onto itself; bind what you need of it on a folder of your own")
	}
	return real, nil
}
