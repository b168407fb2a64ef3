package cgroups

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestMemory_Values(t *testing.T) {
	exercise.Need(t, "2.1")
	for _, c := range []struct {
		did  string
		m    Memory
		want map[string]string
	}{
		{"a Max alone", Memory{Max: 64 << 20}, map[string]string{"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1"}},
		{"Max and Swap", Memory{Max: 64 << 20, Swap: 16 << 20}, map[string]string{"memory.max": "67108864", "memory.swap.max": "16777216", "memory.oom.group": "1"}},
		{"a High alone", Memory{High: 4096}, map[string]string{"memory.high": "4096"}},
		{"everything Unlimited", Memory{Unlimited, Unlimited, Unlimited}, map[string]string{"memory.max": "max", "memory.high": "max", "memory.swap.max": "max"}},
		{"nothing", Memory{}, map[string]string{}},
	} {
		values, err := c.m.Values()
		check.NoError(t, "Values of "+c.did, err)
		got := files(values)
		check.Equal(t, "Values of "+c.did, c.want, got,
			check.Often(got["memory.swap.max"] == "83886080" || got["memory.swap.max"] == "67108864",
				"swap is written as memory and swap together, as v1 has it"),
			check.Often(c.m.Max > 0 && got["memory.swap.max"] == "", "without memory.swap.max what is too much goes to the disk"),
			check.Often(got["memory.max"] == "-1", "Unlimited is written as a number; the kernel's word is max"))
	}
	for file, m := range map[string]Memory{"memory.max": {Max: -7}, "memory.high": {High: -7}, "memory.swap.max": {Max: 1, Swap: -7}} {
		_, err := m.Values()
		check.ErrorHas(t, fmt.Sprintf("Values of %+v", m), err, []string{file, "-7"})
	}
}

func TestParseKeyed(t *testing.T) {
	exercise.Need(t, "2.1")
	got, err := ParseKeyed("low 0\nhigh 3\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\nsock_throttled 0\n")
	check.NoError(t, "ParseKeyed of memory.events", err)
	check.Equal(t, "ParseKeyed of memory.events", map[string]uint64{
		"low": 0, "high": 3, "max": 12, "oom": 2, "oom_kill": 1, "oom_group_kill": 0, "sock_throttled": 0}, got)
	got, err = ParseKeyed("usage_usec 18446744073709551615") // no line end, and more than an int64
	check.NoError(t, "ParseKeyed of the largest number", err)
	check.Equal(t, "ParseKeyed of the largest number", map[string]uint64{"usage_usec": 1<<64 - 1}, got)
	got, err = ParseKeyed("")
	check.NoError(t, "ParseKeyed of an empty text", err)
	check.Equal(t, "keys of an empty text", 0, len(got))
	for _, bad := range []string{"oom", "oom -1", "oom 1.5", "oom 1 2", " 1", "oom 1\n\noom_kill 1\n"} {
		_, err := ParseKeyed(bad)
		line, _, several := strings.Cut(bad, "\n")
		if several {
			line = "" // the empty one
		}
		check.ErrorHas(t, fmt.Sprintf("ParseKeyed(%q)", bad), err, []string{line})
	}
}

func FuzzParseKeyed(f *testing.F) {
	f.Add("max 12\noom_kill 1\n")
	f.Add("a 0")
	f.Fuzz(func(t *testing.T, text string) {
		exercise.Need(t, "2.1")
		got, err := ParseKeyed(text)
		if err == nil && len(got) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d keys in %q", len(got), text)
		}
	})
}

func TestOOMKilled(t *testing.T) {
	exercise.Need(t, "2.1")
	const killed, exited137, terminated = syscall.WaitStatus(9), syscall.WaitStatus(137 << 8), syscall.WaitStatus(15)
	for _, c := range []struct {
		did    string
		status syscall.WaitStatus
		events map[string]uint64
		want   bool
		often  string
	}{
		{"SIGKILL and one oom_kill", killed, map[string]uint64{"oom": 1, "oom_kill": 1}, true, "a process that was killed by a signal has no exit code 137; the shell makes that up"},
		{"SIGKILL and no event", killed, map[string]uint64{"oom_kill": 0}, false, "SIGKILL alone is taken for the OOM killer"},
		{"SIGKILL and failed allocations without a kill", killed, map[string]uint64{"oom": 3, "oom_kill": 0}, false, "oom counts allocations that failed; oom_kill counts who was killed"},
		{"exit 137, a child was killed", exited137, map[string]uint64{"oom_kill": 1}, false, "a counted kill alone is taken for the death of this process"},
		{"SIGTERM, a child was killed", terminated, map[string]uint64{"oom_kill": 1}, false, "a counted kill alone is taken for the death of this process"},
	} {
		check.Equal(t, "OOMKilled after "+c.did, c.want, OOMKilled(c.status, c.events), check.Often(true, c.often))
	}
}

func TestMemory_LimitTrips(t *testing.T) {
	exercise.Need(t, "2.1")
	g := ownGroup(t, "memory")
	values, err := Memory{Max: 32 << 20}.Values()
	check.NoError(t, "Values", err)
	check.NoError(t, "write the limit", g.Set(values))
	beside := spawn(t, g, "stand", "")
	eater := spawn(t, g, "eat", "256")
	status := eater.wait()
	events, err := ParseKeyed(read(t, g, "memory.events"))
	check.NoError(t, "ParseKeyed of the real memory.events", err)
	check.True(t, "256 MiB in a group of 32", OOMKilled(status, events), "OOMKilled false", "true",
		check.Often(!status.Signaled(), "the limit was not written"))
	check.Eventually(t, "the process beside it", "its end too: memory.oom.group", func() bool { return !beside.alive() })
	stat, err := reader(t, g).Stat()
	check.NoError(t, "containerd's reading", err)
	check.Equal(t, "memory.max as containerd reads it", uint64(32<<20), stat.GetMemory().GetUsageLimit())
	check.Equal(t, "memory.swap.max as containerd reads it", uint64(0), stat.GetMemory().GetSwapLimit())
}
