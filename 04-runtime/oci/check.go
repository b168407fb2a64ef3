package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// check finds what cannot be, before anything is made, and notes the root. Each error
// is one line that names the field.
func (c *Container) check(spec *specs.Spec, o Options) error {
	if spec.Linux == nil {
		spec.Linux = new(specs.Linux)
	}
	if major, _, _ := strings.Cut(spec.Version, "."); major != "1" {
		return fmt.Errorf("config.json: ociVersion is %q: want 1.x.y", spec.Version)
	}
	if spec.Root == nil || spec.Root.Path == "" {
		return errors.New("config.json: root.path is empty: name the folder of the root file system")
	}
	rootfs := spec.Root.Path
	if !filepath.IsAbs(rootfs) {
		rootfs = filepath.Join(c.Bundle, rootfs)
	}
	// With its links resolved: what is mounted below it must be below the folder itself.
	named := rootfs
	rootfs, err := filepath.EvalSymlinks(rootfs)
	if err != nil {
		return fmt.Errorf("config.json: root.path %s: %w", named, err)
	}
	if fi, err := os.Stat(rootfs); err != nil || !fi.IsDir() {
		return fmt.Errorf("config.json: root.path %s is not a folder", rootfs)
	}
	c.Rootfs = rootfs
	if spec.Process == nil {
		return errors.New("config.json: process is missing, and start would have nothing to run")
	}
	if err := checkProcess(spec.Process); err != nil {
		return fmt.Errorf("config.json: %w", err)
	}
	if spec.Process.Terminal && o.Console == nil {
		return errors.New("config.json: process.terminal is true: say where the terminal goes with --console-socket")
	}
	if !spec.Process.Terminal && o.Console != nil {
		return errors.New("config.json: process.terminal is false: --console-socket would get nothing")
	}
	if err := checkNamespaces(spec); err != nil {
		return fmt.Errorf("config.json: linux.%w", err)
	}
	if err := checkHooks(spec.Hooks); err != nil {
		return fmt.Errorf("config.json: hooks.%w", err)
	}
	return checkInside(spec, c.Rootless)
}

func checkProcess(p *specs.Process) error {
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return errors.New("process.args is empty: name a program to run")
	case !filepath.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd %q is not absolute", p.Cwd)
	}
	for _, s := range append(append([]string{}, p.Args...), p.Env...) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("process: a zero byte in %q", s)
		}
	}
	return nil
}

func checkNamespaces(spec *specs.Spec) error {
	l := spec.Linux
	seen, fresh := map[specs.LinuxNamespaceType]bool{}, map[specs.LinuxNamespaceType]bool{}
	for _, ns := range l.Namespaces {
		switch k, ok := kinds[ns.Type]; {
		case !ok:
			return fmt.Errorf("namespaces: %q is no kind of namespace", ns.Type)
		case seen[ns.Type]:
			return fmt.Errorf("namespaces: %s is listed twice", ns.Type)
		case ns.Path != "" && !filepath.IsAbs(ns.Path):
			return fmt.Errorf("namespaces: %s: path %q is not absolute", ns.Type, ns.Path)
		default:
			if _, err := os.Stat("/proc/self/ns/" + string(k.kind)); err != nil {
				return fmt.Errorf("namespaces: this kernel has no %s namespaces", ns.Type)
			}
		}
		seen[ns.Type], fresh[ns.Type] = true, ns.Path == ""
	}
	switch {
	case !seen[specs.MountNamespace]:
		return errors.New("namespaces: without a mount namespace the machine's own mounts would change: add one")
	case (spec.Hostname != "" || spec.Domainname != "") && !seen[specs.UTSNamespace]:
		return fmt.Errorf("namespaces: hostname %q would change the machine's: add a uts namespace", spec.Hostname)
	case len(l.TimeOffsets) > 0 && !fresh[specs.TimeNamespace]:
		return errors.New("timeOffsets: a new time namespace is missing")
	case fresh[specs.UserNamespace] && (len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0):
		return errors.New("uidMappings or gidMappings is empty: a new user namespace needs both")
	case !seen[specs.UserNamespace] && (len(l.UIDMappings) > 0 || len(l.GIDMappings) > 0):
		return errors.New("uidMappings: there is no user namespace to map")
	}
	return nil
}

func checkHooks(h *specs.Hooks) error {
	if h == nil {
		return nil
	}
	for kind, hooks := range map[string][]specs.Hook{
		"prestart": h.Prestart, "createRuntime": h.CreateRuntime, "createContainer": h.CreateContainer, //nolint:staticcheck
		"startContainer": h.StartContainer, "poststart": h.Poststart, "poststop": h.Poststop,
	} {
		for i, hook := range hooks {
			if !filepath.IsAbs(hook.Path) {
				return fmt.Errorf("%s[%d]: path %q is not absolute", kind, i, hook.Path)
			}
			if hook.Timeout != nil && *hook.Timeout <= 0 {
				return fmt.Errorf("%s[%d]: timeout %d: want more than 0", kind, i, *hook.Timeout)
			}
		}
	}
	return nil
}
