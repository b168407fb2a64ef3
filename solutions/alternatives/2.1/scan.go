// Alternative: one append for each file, and fmt.Sscanf line by line.
package cgroups

import (
	"bufio"
	"fmt"
	"strings"
	"syscall"
)

func (m Memory) Values() ([]Value, error) {
	var values []Value
	add := func(file string, bytes int64) {
		text := fmt.Sprint(bytes)
		if bytes == Unlimited {
			text = "max"
		}
		values = append(values, Value{File: file, Text: text})
	}
	if m.Max < -1 {
		return nil, fmt.Errorf("memory.max cannot be %d", m.Max)
	}
	if m.High < -1 {
		return nil, fmt.Errorf("memory.high cannot be %d", m.High)
	}
	if m.Swap < -1 {
		return nil, fmt.Errorf("memory.swap.max cannot be %d", m.Swap)
	}
	if m.Max > 0 {
		add("memory.oom.group", 1)
	}
	if m.Max != 0 {
		add("memory.max", m.Max)
	}
	if m.Max > 0 || m.Swap != 0 {
		add("memory.swap.max", m.Swap)
	}
	if m.High != 0 {
		add("memory.high", m.High)
	}
	return values, nil
}

func ParseKeyed(text string) (map[string]uint64, error) {
	keyed := make(map[string]uint64)
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var key string
		var n uint64
		if _, err := fmt.Sscanf(s.Text(), "%s %d", &key, &n); err != nil {
			return nil, fmt.Errorf("%q: %w", s.Text(), err)
		}
		if s.Text() != fmt.Sprintf("%s %d", key, n) {
			return nil, fmt.Errorf("%q is not KEY VALUE", s.Text())
		}
		keyed[key] = n
	}
	return keyed, nil
}

func OOMKilled(status syscall.WaitStatus, events map[string]uint64) bool {
	if kills, ok := events["oom_kill"]; !ok || kills == 0 {
		return false
	}
	return status&0x7f == 9
}
