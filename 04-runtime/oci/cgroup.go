package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

// A container's share of the machine is a folder in every hierarchy of groups
// that is mounted: one on a machine with cgroup v2, one for each controller on
// one with v1, both on a hybrid one.
//
//	newCgroup                            which folders: nothing is made
//	make                                 the folders and what is written into them
//	birth ─ clone3(CLONE_INTO_CGROUP)    the unified one: born a member
//	doors ─ the child: enterDoors        those of v1 (cgroupenter.go)
//	remove

// A group is a container's folder in one hierarchy.
type group struct {
	dir         string
	mount       string
	controllers []string // of v1; none: the unified hierarchy
}

func (g group) v2() bool { return len(g.controllers) == 0 }

// named says whether it is of a hierarchy of v1 without a controller (name=systemd):
// it limits nothing, and may be missing.
func (g group) named() bool { return !g.v2() && strings.HasPrefix(g.controllers[0], "name=") }

// groups are all folders of one container; none if it has no groups.
type groups struct {
	all       []group
	resources *specs.LinuxResources
	rootless  bool
	named     bool // the bundle says which
	made      bool
}

// newCgroup chooses the folders of cgroupsPath as runc understands it: an absolute
// path is below each hierarchy's mount, a relative one below the caller's own group
// (on v2 beside it: a group that holds processes cannot be divided). An empty one
// is the container's id, relative.
func newCgroup(spec *specs.Spec, id string, rootless bool) (cgroup, error) {
	hierarchies, err := hostgroup.Hierarchies()
	if err != nil {
		return nil, fmt.Errorf("find the control groups: %w", err)
	}
	var cgroupsPath string
	var r *specs.LinuxResources
	if spec.Linux != nil {
		cgroupsPath, r = spec.Linux.CgroupsPath, spec.Linux.Resources
	}
	all, err := planGroups(hierarchies, cgroupsPath, id)
	return &groups{all: all, resources: r, rootless: rootless, named: cgroupsPath != ""}, err
}

// planGroups is the pure part of newCgroup.
func planGroups(hierarchies []hostgroup.Hierarchy, cgroupsPath, id string) ([]group, error) {
	if strings.Count(cgroupsPath, ":") == 2 && !strings.Contains(cgroupsPath, "/") {
		return nil, fmt.Errorf("cgroupsPath %q is a unit of systemd, which is not asked here: set the engine's cgroup driver to cgroupfs (dockerd --exec-opt native.cgroupdriver=cgroupfs; containerd: SystemdCgroup = false)", cgroupsPath)
	}
	if cgroupsPath == "" {
		cgroupsPath = id
	}
	below := path.Clean("/" + cgroupsPath) // no ".." is left that could lead up
	if below == "/" {
		return nil, fmt.Errorf("cgroupsPath %q is the root of all groups: name one below it", cgroupsPath)
	}
	var all []group
	for _, h := range hierarchies {
		base := h.Mount
		if !path.IsAbs(cgroupsPath) {
			base = h.Own
			if h.V2() && base != h.Mount {
				base = filepath.Dir(base)
			}
		}
		all = append(all, group{filepath.Join(base, below), h.Mount, h.Controllers})
	}
	return all, nil
}

// paths is what state.json keeps; loadCgroup makes groups of it again.
func (gs *groups) paths() map[string]string {
	paths := map[string]string{}
	for _, g := range gs.all {
		if g.v2() {
			paths[""] = g.dir
		}
		for _, c := range g.controllers {
			paths[c] = g.dir
		}
	}
	return paths
}

func loadCgroup(paths map[string]string) (cgroup, error) {
	gs := &groups{made: true}
	for _, c := range slices.Sorted(maps.Keys(paths)) {
		i := slices.IndexFunc(gs.all, func(g group) bool { return g.dir == paths[c] && !g.v2() })
		switch {
		case c == "":
			gs.all = append(gs.all, group{dir: paths[c]})
		case i >= 0:
			gs.all[i].controllers = append(gs.all[i].controllers, c)
		default:
			gs.all = append(gs.all, group{dir: paths[c], controllers: []string{c}})
		}
	}
	return gs, nil
}

// make makes the folders and sets the resources. A folder that holds processes is
// somebody else's and refused. After an error nothing that make made is left.
//
// An ordinary user to whom no group was delegated gets none, and a warning if the
// bundle asks for limits.
func (gs *groups) make() (err error) {
	if gs.made {
		return nil
	}
	var made []group
	defer func() {
		if err != nil {
			(&groups{all: made}).remove()
		}
	}()
	for _, g := range gs.all {
		if n := len(readPIDs(g.dir)); n > 0 {
			return fmt.Errorf("cgroup %s is in use by %d processes: choose another cgroupsPath", g.dir, n)
		}
		err := g.make()
		if (gs.rootless || g.named()) && denied(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		made = append(made, g)
	}
	gs.all, gs.made = made, true
	if len(made) == 0 {
		return gs.warnOfNone()
	}
	return gs.setAll(gs.resources, true)
}

// warnOfNone says that there is no group, if anybody would have wanted one.
func (gs *groups) warnOfNone() error {
	r := gs.resources
	if r == nil {
		r = &specs.LinuxResources{}
	}
	p, err := planResources(r, true)
	if err == nil && (gs.named || len(p.settings)+len(p.warnings) > 0) {
		slog.Warn("no cgroup: none is delegated to this user, so limits, pause and statistics are missing (systemd-run --user --scope -p Delegate=yes -- COMMAND)")
	}
	return err
}

func denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)
}

// make makes the folder and those above it. On v2 each of these gives its
// controllers away; those that cannot be are missed by the one who writes a limit.
// On v1 a cpuset takes no process until it is told its CPUs.
func (g group) make() error {
	rel, err := filepath.Rel(g.mount, g.dir)
	if err != nil {
		return err
	}
	dir := g.mount
	for part := range strings.SplitSeq(rel, "/") {
		if g.v2() {
			enable(dir)
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if !slices.Contains(g.controllers, "cpuset") {
			continue
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if now, err := readFile(dir, file); err == nil && now == "" {
				above, _ := readFile(filepath.Dir(dir), file)
				if err := writeFile(dir, file, above); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// enable gives every controller of dir to the groups below it: all in one write,
// each of which costs a while, or else one at a time: a kernel may keep a single one.
func enable(dir string) {
	have, _ := readFile(dir, "cgroup.controllers")
	given, _ := readFile(dir, "cgroup.subtree_control")
	missing := slices.DeleteFunc(strings.Fields(have), func(c string) bool { return slices.Contains(strings.Fields(given), c) })
	if len(missing) == 0 || divided(dir) {
		return
	}
	if writeFile(dir, "cgroup.subtree_control", "+"+strings.Join(missing, " +")) == nil {
		return
	}
	for _, c := range missing {
		writeFile(dir, "cgroup.subtree_control", "+"+c)
	}
}

// divided says whether dir holds processes and is not the root of all: for cpu and
// pids the kernel would not refuse, but make it a threaded domain.
func divided(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.type"))
	return err == nil && len(readPIDs(dir)) > 0
}

// find returns the folder that has a controller of v1 or, if it is mounted nowhere
// as such, the unified one; nil without either.
func (gs *groups) find(controller string) *group {
	for i, g := range gs.all {
		if slices.Contains(g.controllers, controller) {
			return &gs.all[i]
		}
	}
	return gs.unified()
}

func (gs *groups) unified() *group {
	if i := slices.IndexFunc(gs.all, group.v2); i >= 0 {
		return &gs.all[i]
	}
	return nil
}

func readFile(dir, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(b)), err
}

// writeFile writes a file of the kernel's in one write(2), and never makes one.
func writeFile(dir, file, value string) error {
	name := filepath.Join(dir, file)
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %q: %w", value, &fs.PathError{Op: "write", Path: name, Err: err})
	}
	return nil
}

func readPIDs(dir string) (pids []int) {
	text, _ := readFile(dir, "cgroup.procs")
	for _, f := range strings.Fields(text) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
