package cgroups

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

const lookFirst = "it waits for a change before it looks: one that has happened already never comes"

// done runs f with a deadline of its own below the test's.
func done(t *testing.T, did string, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), check.Deadline-2*time.Second)
	defer cancel()
	_, err := check.Within(t, did, "its return", func() (int, error) { return 0, f(ctx) }, check.Often(true, lookFirst))
	return err
}

func TestPopulated_SeesTheWholeTree(t *testing.T) {
	exercise.Need(t, "2.7", "2.1")
	g := ownGroup(t)
	inner := mkdir(t, mkdir(t, g, "a"), "b")
	got, err := g.Populated()
	check.NoError(t, "Populated", err)
	check.Equal(t, "Populated of an empty tree", false, got)
	p := spawn(t, inner, "stand", "")
	got, err = g.Populated()
	check.NoError(t, "Populated", err)
	check.Equal(t, "Populated with a process two groups further down", true, got,
		check.Often(true, "cgroup.procs names the group's own processes, not those below it"))
	check.NoError(t, "kill the process", p.Process.Kill()) // nobody waits for it yet: a zombie
	check.Eventually(t, "Populated with nothing but a zombie", "false", func() bool { got, _ := g.Populated(); return !got })
}

func TestFreeze_ReturnsOnceAllStand(t *testing.T) {
	exercise.Need(t, "2.7", "2.1")
	g := ownGroup(t)
	a, b := mkdir(t, g, "a"), mkdir(t, g, "b")
	for _, inner := range []*Group{a, b, b} {
		spawn(t, inner, "hole", "").line()
	}
	check.NoError(t, "Freeze of three busy processes", done(t, "Freeze of three busy processes", g.Freeze))
	for _, inner := range []*Group{a, b} {
		events := strings.ReplaceAll(read(t, inner, "cgroup.events"), "\n", ", ")
		check.True(t, "cgroup.events below it after Freeze", strings.Contains(events, "frozen 1"), events, "frozen 1",
			check.Often(true, "cgroup.freeze was written, but nobody waited until all stood"))
	}
	check.NoError(t, "Thaw", done(t, "Thaw", g.Thaw))
	check.True(t, "cgroup.events after Thaw", strings.Contains(read(t, g, "cgroup.events"), "frozen 0"), read(t, g, "cgroup.events"), "frozen 0")
}

func TestFreeze_Again(t *testing.T) {
	exercise.Need(t, "2.7", "2.1")
	g := ownGroup(t)
	check.NoError(t, "Freeze of a group without processes", done(t, "Freeze of a group without processes", g.Freeze))
	check.NoError(t, "Freeze of a frozen group", done(t, "Freeze of a frozen group", g.Freeze))
	check.NoError(t, "Thaw", done(t, "Thaw", g.Thaw))
	check.NoError(t, "Kill of a group without processes", done(t, "Kill of a group without processes", g.Kill))

	// Below a frozen group nothing goes on, however long Thaw waits.
	inner := mkdir(t, g, "inner")
	spawn(t, inner, "stand", "")
	write(t, g, "cgroup.freeze", "1")
	check.Eventually(t, "the group below", "frozen 1", func() bool { return strings.Contains(read(t, inner, "cgroup.events"), "frozen 1") })
	ending, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := check.Within(t, "Thaw below a frozen group, its context ends", "its return", func() (int, error) { return 0, inner.Thaw(ending) },
		check.Often(true, "nobody looks at the context while it waits"))
	check.ErrorIs(t, "Thaw below a frozen group, its context ends", err, context.DeadlineExceeded)
	check.ErrorHas(t, "Thaw below a frozen group, its context ends", err, []string{inner.Dir()})
}

func TestKill_TheWholeTree(t *testing.T) {
	exercise.Need(t, "2.7", "2.1")
	g := ownGroup(t)
	below := mkdir(t, mkdir(t, g, "a"), "b")
	processes := []*process{spawn(t, g, "stand", ""), spawn(t, below, "stand", ""), spawn(t, mkdir(t, g, "c"), "stand", "")}
	spawn(t, below, "hop", "").line()
	err := done(t, "Kill", g.Kill)
	left := left(t, g)
	check.True(t, "Kill of a tree of four groups", left == "" && err == nil, check.Error(err)+", left: "+left, "no error, and nothing left",
		check.Often(!processes[0].alive() && processes[1].alive(), "only the group's own processes are killed, not those below it"),
		check.Often(err == nil, "it returns before the processes are gone"))
	for _, p := range processes {
		check.Equal(t, "the signal that ended it", "killed", p.wait().Signal().String())
	}
	_, err = os.Stat(below.Dir())
	check.NoError(t, "the groups after Kill", err)
}

func TestKill_AFrozenForkBomb(t *testing.T) {
	exercise.Need(t, "2.7", "2.1")
	g := ownGroup(t)
	spawn(t, g, "bomb", "50").line()
	write(t, mkdir(t, g, "still"), "cgroup.freeze", "1")
	frozen := spawn(t, &Group{filepath.Join(g.Dir(), "still")}, "stand", "")
	err := done(t, "Kill", g.Kill)
	check.NoError(t, "Kill of 50 processes and a frozen one", err, check.Often(errors.Is(err, context.DeadlineExceeded), "a frozen process is left out"))
	check.Equal(t, "what is left", "", left(t, g))
	check.True(t, "the frozen process", !frozen.alive(), "alive", "ended")
}

// left lists the pids in g and below it.
func left(t *testing.T, g *Group) string {
	t.Helper()
	all := strings.Fields(read(t, g, "cgroup.procs"))
	entries, err := os.ReadDir(g.Dir())
	check.NoError(t, "list the group", err)
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, strings.Fields(left(t, &Group{filepath.Join(g.Dir(), e.Name())}))...)
		}
	}
	return strings.Join(all, " ")
}
