package hostgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// A Hierarchy is one mounted tree of groups.
type Hierarchy struct {
	Mount       string   // where it is mounted: "/sys/fs/cgroup"
	Controllers []string // of v1: {"cpu", "cpuacct"}; nil for v2
	Own         string   // the folder below Mount of the group this process is in
}

// V2 says whether this is the unified hierarchy.
func (h Hierarchy) V2() bool { return h.Controllers == nil }

// ErrNone is what Unified returns on a machine without cgroup v2.
var ErrNone = errors.New("no cgroup v2 file system is mounted (it is with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup)")

// Unified returns the v2 hierarchy: all there is on a modern machine, and on a
// hybrid one a mount beside those of v1.
func Unified() (Hierarchy, error) {
	all, err := Hierarchies()
	if err != nil {
		return Hierarchy{}, err
	}
	for _, h := range all {
		if h.V2() {
			return h, nil
		}
	}
	return Hierarchy{}, ErrNone
}

// Hierarchies returns every mounted hierarchy that shows this process's group.
func Hierarchies() ([]Hierarchy, error) { return hierarchies(parse) }

// Mounted returns every mounted hierarchy. Own is empty where the mount does not show
// this process's group: it is from outside of its cgroup namespace.
func Mounted() ([]Hierarchy, error) {
	return hierarchies(func(mounts, own []byte) ([]Hierarchy, error) { return join(mounts, own, true) })
}

func hierarchies(parse func(mounts, own []byte) ([]Hierarchy, error)) ([]Hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parse(mounts, own)
}

// parse joins mountinfo (proc_pid_mountinfo(5): root and mount point) and
// /proc/PID/cgroup (cgroups(7): "ID:controllers:path"). Of several mounts of a
// hierarchy the one below /sys/fs/cgroup wins, and of those the last, which
// covers the others.
func parse(mounts, own []byte) ([]Hierarchy, error) { return join(mounts, own, false) }

// join is parse; with hidden, mounts that do not show the process count too.
func join(mounts, own []byte, hidden bool) ([]Hierarchy, error) {
	infos, err := mountinfo.GetMountsFromReader(bytes.NewReader(mounts), mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("/proc/self/mountinfo: %w", err)
	}
	var all []Hierarchy
	for line := range strings.Lines(string(own)) {
		part := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(part) != 3 {
			return nil, fmt.Errorf("/proc/self/cgroup: %q is not ID:controllers:path", line)
		}
		var h Hierarchy
		if part[1] != "" {
			h.Controllers = strings.Split(part[1], ",")
		}
		for _, m := range infos {
			if (m.FSType == "cgroup2") != h.V2() || !h.V2() && !slices.Contains(strings.Split(m.VFSOptions, ","), h.Controllers[0]) {
				continue
			}
			rel, err := filepath.Rel(m.Root, part[2])
			outside := err != nil || rel == ".." || strings.HasPrefix(rel, "../") || strings.Contains(m.Root+part[2]+"/", "/../")
			if outside && !hidden {
				continue // mounted from a part of the tree that does not hold this process
			}
			if h.Mount != "" && strings.HasPrefix(h.Mount, "/sys/fs/cgroup") && !strings.HasPrefix(m.Mountpoint, "/sys/fs/cgroup") {
				continue
			}
			h.Mount, h.Own = m.Mountpoint, ""
			if !outside {
				h.Own = filepath.Join(m.Mountpoint, rel)
			}
		}
		if h.Mount != "" {
			all = append(all, h)
		}
	}
	return all, nil
}

// words reads a file of words: cgroup.controllers, cgroup.subtree_control.
func words(dir, file string) []string {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(b))
}

// write writes a file of a group. It never makes one: those that exist are the
// kernel's.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func has(all, want []string) bool {
	for _, w := range want {
		if !slices.Contains(all, w) {
			return false
		}
	}
	return true
}
