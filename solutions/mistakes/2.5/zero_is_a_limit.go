// Mistake: no limit is written as the limit 0, with which nothing starts
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
)

func (p Pids) Values() ([]Value, error) {
	switch {
	case p.Max < Unlimited:
		return nil, fmt.Errorf("pids %d: want 0 or more, or Unlimited", p.Max)
	case p.Max == Unlimited:
		return []Value{{"pids.max", "max"}}, nil
	}
	return []Value{{"pids.max", strconv.FormatInt(p.Max, 10)}}, nil
}
func Headroom(levels []PidsLevel) int64 {
	room := Unlimited
	for _, l := range levels {
		if l.Max == Unlimited {
			continue
		}
		if r := max(l.Max-l.Current, 0); room == Unlimited || r < room {
			room = r
		}
	}
	return room
}
func (g *Group) PidsLevels() ([]PidsLevel, error) {
	var levels []PidsLevel
	for dir := g.dir; ; dir = filepath.Dir(dir) {
		at := &Group{dir}
		text, err := at.Read("pids.max")
		if errors.Is(err, fs.ErrNotExist) && len(levels) > 0 {
			return levels, nil // the root, or the end of what is delegated
		}
		if err != nil {
			return nil, err
		}
		level := PidsLevel{Max: Unlimited}
		if text != "max" {
			if level.Max, err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, fmt.Errorf("%s/pids.max: %w", dir, err)
			}
		}
		if text, err = at.Read("pids.current"); err != nil {
			return nil, err
		}
		if level.Current, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("%s/pids.current: %w", dir, err)
		}
		levels = append(levels, level)
	}
}
func (g *Group) Refused() (uint64, error) {
	text, err := g.Read("pids.events")
	if err != nil {
		return 0, err
	}
	events, err := ParseKeyed(text)
	if err != nil {
		return 0, fmt.Errorf("%s/pids.events: %w", g.dir, err)
	}
	return events["max"], nil
}
