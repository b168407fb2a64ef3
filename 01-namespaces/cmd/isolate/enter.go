package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	namespaces "coracle/01-namespaces"
)

// enter is `isolate enter NAME|PID [flags] [--] COMMAND`.
func enter(args []string) (int, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return 0, errors.New("enter what? isolate enter NAME|PID -- COMMAND (isolate ls lists them)")
	}
	o, err := parse(args[1:], "env", "dir", "user", "keep", "drop", "no-seccomp", "tty", "no-tty")
	if err != nil {
		return 0, err
	}
	pid, err := find(args[0])
	if err != nil {
		return 0, err
	}
	spec, err := entering(pid, o.command)
	if err != nil {
		return 0, err
	}
	spec.Dir, spec.User = o.dir, o.user
	o.restrict(spec)
	o.environment(spec)
	return supervise(spec, namespaces.Enter, func(int) {})
}

// find returns the PID of a running program by its name, or by the PID itself,
// which may be that of any process that one has the right to enter.
func find(what string) (int, error) {
	all, err := running()
	if err != nil {
		return 0, err
	}
	if i := slices.IndexFunc(all, func(e entry) bool { return e.name == what }); i >= 0 {
		return all[i].pid, nil
	}
	pid, err := strconv.Atoi(what)
	if err != nil {
		return 0, fmt.Errorf("enter %s: nothing of that name is running (isolate ls)", what)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/ns", pid)); err != nil {
		return 0, fmt.Errorf("enter %d: no such process", pid)
	}
	return pid, nil
}

// entering is the spec of a program beside the one that runs: in its namespaces,
// and no freer than it.
func entering(pid int, command []string) (*namespaces.Spec, error) {
	spec, err := namespaces.Default("", command...)
	if err != nil {
		return nil, err
	}
	spec.Namespaces = nil
	for _, t := range []namespaces.Type{namespaces.UserNS, namespaces.Mnt, namespaces.UTS, namespaces.IPC, namespaces.Net, namespaces.PID, namespaces.Cgroup} {
		path := fmt.Sprintf("/proc/%d/ns/%s", pid, t)
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("enter %d: %w", pid, err)
		}
		spec.Namespaces = append(spec.Namespaces, namespaces.Namespace{Type: t, Path: path})
	}
	spec.Root, spec.System, spec.Hostname = nil, false, ""
	spec.Tmpfs, spec.MaskedPaths, spec.ReadonlyPaths, spec.UIDMap, spec.GIDMap = nil, nil, nil, nil, nil
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, fmt.Errorf("enter %d: %w", pid, err)
	}
	if bytes.Contains(status, []byte("\nSeccomp:\t0\n")) {
		spec.Seccomp = nil
	}
	return spec, nil
}
