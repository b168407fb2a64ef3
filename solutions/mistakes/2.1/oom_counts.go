// Mistake: oom counts allocations that failed; oom_kill counts who was killed
package cgroups

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

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
			values = append(values, Value{f.file, strconv.FormatInt(f.bytes, 10)})
		}
	}
	if m.Max > 0 {
		values = append(values, Value{"memory.oom.group", "1"})
	}
	return values, nil
}
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
func OOMKilled(status syscall.WaitStatus, events map[string]uint64) bool {
	return status.Signaled() && status.Signal() == syscall.SIGKILL && events["oom"] > 0
}
