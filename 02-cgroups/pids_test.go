package cgroups

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestPids_Values(t *testing.T) {
	exercise.Need(t, "2.5")
	for _, c := range []struct {
		max  int64
		want map[string]string
	}{{32, map[string]string{"pids.max": "32"}}, {Unlimited, map[string]string{"pids.max": "max"}}, {0, map[string]string{}}} {
		values, err := Pids{c.max}.Values()
		check.NoError(t, fmt.Sprintf("Pids{%d}.Values", c.max), err)
		check.Equal(t, fmt.Sprintf("Pids{%d}.Values", c.max), c.want, files(values),
			check.Often(c.max == 0, "no limit is written as the limit 0, with which nothing starts"),
			check.Often(c.max == Unlimited, "Unlimited is written as a number; the kernel's word is max"))
	}
	_, err := Pids{-9}.Values()
	check.ErrorHas(t, "Pids{-9}.Values", err, []string{"-9"})
}

func TestHeadroom(t *testing.T) {
	exercise.Need(t, "2.5")
	for _, c := range []struct {
		did    string
		levels []PidsLevel
		want   int64
		often  string
	}{
		{"7 of 32", []PidsLevel{{7, 32}}, 25, ""},
		{"7 of 32, below 9 of Unlimited and 95 of 100", []PidsLevel{{7, 32}, {9, Unlimited}, {95, 100}}, 5, "only the group's own limit is looked at"},
		{"Unlimited below 95 of 100", []PidsLevel{{1, Unlimited}, {95, 100}}, 5, "only the group's own limit is looked at"},
		{"12 of 10", []PidsLevel{{12, 10}, {50, 100}}, 0, "a group can hold more than its limit, and then has no room, not less than none"},
		{"a level that is full below one without limit", []PidsLevel{{10, 10}, {10, Unlimited}}, 0, ""},
		{"no limit anywhere", []PidsLevel{{7, Unlimited}, {9, Unlimited}}, Unlimited, "no limit at all is still Unlimited"},
		{"no levels", nil, Unlimited, "no limit at all is still Unlimited"},
	} {
		check.Equal(t, "Headroom of "+c.did, c.want, Headroom(c.levels), check.Often(c.often != "", c.often))
	}
}

func TestPidsLevels(t *testing.T) {
	exercise.Need(t, "2.5")
	g := ownGroup(t, "pids")
	write(t, g, "cgroup.subtree_control", "+pids")
	inner := mkdir(t, g, "inner")
	write(t, g, "pids.max", "40")
	p := spawn(t, inner, "stand", "")
	check.True(t, "the helper", p.alive(), "ended", "alive")
	levels, err := inner.PidsLevels()
	check.NoError(t, "PidsLevels", err)
	check.True(t, "levels of a group in a group in the tests' own", len(levels) == 3, fmt.Sprintf("%+v", levels), "three of them",
		check.Often(len(levels) == 1, "only the group's own limit is looked at"))
	check.Equal(t, "Max of the group", Unlimited, levels[0].Max)
	check.Equal(t, "Max of its parent", int64(40), levels[1].Max)
	// The helper is still making threads, perhaps between the two readings.
	check.Eventually(t, "Current of both", "the same number of tasks, more than none", func() bool {
		levels, err = inner.PidsLevels()
		return err != nil || levels[0].Current > 0 && levels[1].Current == levels[0].Current
	})
	stat, err := reader(t, g).Stat()
	check.NoError(t, "containerd's reading", err)
	check.Equal(t, "pids.max as containerd reads it", uint64(40), stat.GetPids().GetLimit())

	_, err = (&Group{g.Dir() + "/gone"}).PidsLevels()
	check.ErrorIs(t, "PidsLevels of a group that is gone", err, os.ErrNotExist)
}

func TestPids_ForkBomb(t *testing.T) {
	exercise.Need(t, "2.5", "2.1")
	g := ownGroup(t, "pids")
	values, err := Pids{30}.Values()
	check.NoError(t, "Values", err)
	check.NoError(t, "write the limit", g.Set(values))
	before, err := g.Refused()
	check.NoError(t, "Refused", err)
	check.Equal(t, "Refused before the bomb", uint64(0), before)
	said := spawn(t, g, "bomb", "200").line()
	var forks int
	var errno string
	_, err = fmt.Sscan(said, &forks, &errno)
	check.True(t, "a bomb of 200 in a group of 30", err == nil && errno == "EAGAIN" && forks < 30, said, "fewer than 30 forks and EAGAIN",
		check.Often(errno == "never", "the limit was not written"))
	refused, err := g.Refused()
	check.NoError(t, "Refused", err)
	check.True(t, "Refused after the bomb", refused > 0, "0", "more")
	levels, err := g.PidsLevels()
	check.NoError(t, "PidsLevels", err)
	check.Equal(t, "Headroom in the full group", int64(0), Headroom(levels))
	_, err = (&Group{g.Dir() + "/gone"}).Refused()
	check.True(t, "Refused of a group that is gone", errors.Is(err, os.ErrNotExist), check.Error(err), "ENOENT")
	check.True(t, "a process outside of it", spawn(t, nil, "where", "").wait().Exited(), "killed", "it starts and ends as ever")
}
