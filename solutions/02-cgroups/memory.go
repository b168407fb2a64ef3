package cgroups

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Values returns what to write for a memory limit, and nothing for what is 0.
func (m Memory) Values() ([]Value, error) {
	var values []Value
	for _, f := range []struct {
		file  string
		bytes int64
	}{{"memory.high", m.High}, {"memory.swap.max", m.Swap}, {"memory.max", m.Max}} {
		if f.bytes < Unlimited {
			return nil, fmt.Errorf("%s: %d bytes: want 0 or more, or Unlimited", f.file, f.bytes)
		}
		switch {
		case f.bytes == Unlimited:
			values = append(values, Value{f.file, "max"})
		case f.bytes > 0, f.file == "memory.swap.max" && m.Max > 0:
			// Without a limit on swap the kernel would move what is above Max to
			// the disk, and the limit would show as slowness.
			values = append(values, Value{f.file, strconv.FormatInt(f.bytes, 10)})
		}
	}
	if m.Max > 0 {
		// What belongs together dies together: half a program is a harder failure
		// than none (cgroup-v2.rst, memory.oom.group).
		values = append(values, Value{"memory.oom.group", "1"})
	}
	return values, nil
}

// ParseKeyed reads a flat keyed file: one "KEY VALUE" a line.
func ParseKeyed(text string) (map[string]uint64, error) {
	keyed := map[string]uint64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key, value, ok := strings.Cut(line, " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if !ok || key == "" || err != nil {
			return nil, fmt.Errorf("line %q: want KEY VALUE with a whole number", line)
		}
		keyed[key] = n
	}
	return keyed, nil
}

// OOMKilled says whether a process that ended so was ended by the OOM killer of
// its group, whose memory.events are given.
func OOMKilled(status syscall.WaitStatus, events map[string]uint64) bool {
	// The signal alone could be anybody's, the counter alone another process's.
	return status.Signaled() && status.Signal() == syscall.SIGKILL && events["oom_kill"] > 0
}
