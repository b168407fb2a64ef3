package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestSubtreeControl(t *testing.T) {
	exercise.Need(t, "2.2")
	line, err := SubtreeControl([]string{"cpu", "memory", "pids"}, []string{"cpu"}, []string{"cpu", "memory", "pids"})
	check.NoError(t, "SubtreeControl(cpu memory pids, of which cpu is enabled)", err)
	check.Equal(t, "SubtreeControl(cpu memory pids, of which cpu is enabled)", "+memory +pids", line,
		check.Often(strings.Contains(line, "memory") && !strings.Contains(line, "+"), "a name without + before it enables nothing"))
	line, err = SubtreeControl([]string{"cpu", "memory"}, []string{"memory"}, []string{"memory"})
	check.NoError(t, "SubtreeControl of what is enabled", err)
	check.Equal(t, "SubtreeControl of what is enabled", "", line)
	_, err = SubtreeControl([]string{"cpu", "memory"}, nil, []string{"cpu", "io"})
	check.ErrorHas(t, "SubtreeControl of io where there is none", err, []string{"io"})
	_, err = SubtreeControl([]string{"cpuset"}, nil, []string{"cpu"})
	check.ErrorHas(t, "SubtreeControl of cpu where there is cpuset", err, []string{"cpu"})
}

func TestChild_MakesAGroup(t *testing.T) {
	exercise.Need(t, "2.2")
	g := ownGroup(t)
	c, err := g.Child("job")
	check.NoError(t, `Child("job")`, err)
	check.Equal(t, "its folder", filepath.Join(g.Dir(), "job"), c.Dir())
	check.Equal(t, "its cgroup.type", "domain", read(t, c, "cgroup.type"))
	_, err = g.Child("job")
	check.NoError(t, `Child("job") a second time`, err)
	for _, bad := range []string{"", ".", "..", "a/b", "../x", "cgroup.procs"} {
		_, err := g.Child(bad)
		check.True(t, `Child("`+bad+`")`, err != nil, "no error", "an error that names it",
			check.Often(bad == "cgroup.procs", "EEXIST is taken for a group that is there; it may be a file"),
			check.Often(true, "a name is joined to the path as it is"))
	}
}

func TestRemove_DepthFirst(t *testing.T) {
	exercise.Need(t, "2.2")
	g := ownGroup(t)
	top := mkdir(t, g, "top")
	mkdir(t, mkdir(t, top, "a"), "b")
	mkdir(t, top, "c")
	err := top.Remove()
	check.NoError(t, "Remove of a tree of four groups", err,
		check.Often(errors.Is(err, syscall.EBUSY), "the parent is removed before its children"))
	_, err = os.Stat(top.Dir())
	check.ErrorIs(t, "stat of the removed group", err, os.ErrNotExist)
	check.NoError(t, "Remove of a group that is gone", top.Remove())

	p := spawn(t, mkdir(t, g, "busy"), "stand", "")
	err = (&Group{filepath.Join(g.Dir(), "busy")}).Remove()
	check.ErrorIs(t, "Remove of a group with a process", err, syscall.EBUSY,
		check.Often(errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES), "os.RemoveAll tries to delete the kernel's files"))
	check.True(t, "its error", strings.Contains(err.Error(), "busy"), err.Error(), "the path in it")
	check.True(t, "the process after it", p.alive(), "ended", "alive: Remove kills nothing")
}

// domainController names a controller that the kernel refuses to give away from a
// group with processes: memory, or what a hybrid machine has left for v2.
func domainController(t *testing.T) string {
	t.Helper()
	if sandbox.Controller("memory").Has() != nil && sandbox.Controller("hugetlb").Has() == nil {
		return "hugetlb"
	}
	return "memory"
}

func TestEnable_MovesProcessesToALeaf(t *testing.T) {
	exercise.Need(t, "2.2")
	c := domainController(t)
	g := ownGroup(t, c)
	a, b := spawn(t, g, "stand", ""), spawn(t, g, "stand", "")
	_, err := check.Within(t, "Enable("+c+") of a group with two processes", "its return", func() (int, error) { return 0, g.Enable(c) },
		check.Often(true, "the list of processes is never read again"))
	check.NoError(t, "Enable("+c+") of a group with two processes", err,
		check.Often(errors.Is(err, syscall.EBUSY), "a group that holds processes gives no controllers away"))
	check.Equal(t, "cgroup.subtree_control", c, read(t, g, "cgroup.subtree_control"))
	check.Equal(t, "the processes in the group", "", read(t, g, "cgroup.procs"))
	check.Equal(t, "the processes in its leaf", 2, len(strings.Fields(read(t, &Group{g.Dir() + "/leaf"}, "cgroup.procs"))))
	check.True(t, "both processes", a.alive() && b.alive(), "one ended", "alive")

	job, err := g.Child("job")
	check.NoError(t, `Child("job")`, err)
	check.True(t, "cgroup.controllers of the child", strings.Contains(read(t, job, "cgroup.controllers"), c), read(t, job, "cgroup.controllers"), c)
	controllers, err := reader(t, job).Controllers()
	check.NoError(t, "containerd's reading", err)
	check.Equal(t, "controllers of the child as containerd reads them", []string{c}, controllers)
	check.NoError(t, "Enable("+c+") again", g.Enable(c))
	err = g.Enable("nosuch")
	check.ErrorHas(t, "Enable(nosuch)", err, []string{"nosuch", g.Dir()})
}

func TestEnable_ThreadedControllers(t *testing.T) {
	exercise.Need(t, "2.2")
	g := ownGroup(t, "cpu", "pids")
	p := spawn(t, g, "stand", "")
	check.NoError(t, "Enable(cpu, pids) of a group with a process", g.Enable("cpu", "pids"))
	job, err := g.Child("job")
	check.NoError(t, `Child("job")`, err)
	kind := read(t, job, "cgroup.type")
	check.Equal(t, "cgroup.type of the child", "domain", kind,
		check.Often(kind == "domain invalid", "processes move only after EBUSY, which never comes for threaded controllers"))
	write(t, job, "cgroup.procs", strings.TrimSpace(read(t, &Group{g.Dir() + "/leaf"}, "cgroup.procs")))
	check.True(t, "the process", p.alive(), "ended", "alive")
}
