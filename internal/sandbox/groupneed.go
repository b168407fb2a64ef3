package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/internal/hostgroup"
)

const vmFix = "./lab vm test 2"

// Group returns the folder of the v2 group that the tests own, "/" of their
// cgroup namespace. The tests themselves run in a leaf of it.
func Group() (string, error) {
	if _, err := readGroupEnv(); err != nil {
		return "", err
	}
	h, err := hostgroup.Unified()
	return h.Mount, err
}

// OwnGroup is a cgroup v2 subtree that the tests may divide.
var OwnGroup = Feature{
	Name: "a cgroup v2 group of its own",
	Fix:  vmFix + ", or: systemd-run --user --scope -p Delegate=yes -- ./lab test 2",
	Has:  func() error { _, err := Group(); return err },
}

// Controller is OwnGroup with a controller: "memory", "cpu", "pids".
func Controller(name string) Feature {
	return Feature{Name: "cgroup v2 " + name + " controller", Fix: vmFix, Has: func() error {
		dir, err := Group()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if have := strings.Fields(string(b)); err == nil && !slices.Contains(have, name) {
			return fmt.Errorf("v2 has only %q here, the others are mounted as v1 or off", have)
		}
		return err
	}}
}
