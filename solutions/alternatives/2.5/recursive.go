// Alternative: each level is the group's own and then its parent's, by recursion.
package cgroups

import (
	"fmt"
	"math"
	"os"
	"path"
)

func (p Pids) Values() ([]Value, error) {
	if p.Max < Unlimited {
		return nil, fmt.Errorf("pids.max cannot be %d", p.Max)
	}
	text := fmt.Sprint(p.Max)
	switch p.Max {
	case 0:
		return nil, nil
	case Unlimited:
		text = "max"
	}
	return []Value{{File: "pids.max", Text: text}}, nil
}

func Headroom(levels []PidsLevel) int64 {
	least := int64(math.MaxInt64)
	for _, l := range levels {
		switch {
		case l.Max == Unlimited:
		case l.Current >= l.Max:
			return 0
		case l.Max-l.Current < least:
			least = l.Max - l.Current
		}
	}
	if least == math.MaxInt64 {
		return Unlimited
	}
	return least
}

func (g *Group) PidsLevels() ([]PidsLevel, error) {
	limit, err := g.Read("pids.max")
	if err != nil {
		return nil, err
	}
	current, err := g.Read("pids.current")
	if err != nil {
		return nil, err
	}
	l := PidsLevel{Max: Unlimited}
	if _, err := fmt.Sscan(current, &l.Current); err != nil {
		return nil, fmt.Errorf("%s/pids.current: %w", g.dir, err)
	}
	if limit != "max" {
		if _, err := fmt.Sscan(limit, &l.Max); err != nil {
			return nil, fmt.Errorf("%s/pids.max: %w", g.dir, err)
		}
	}
	parent := &Group{path.Dir(g.dir)}
	if _, err := os.Stat(parent.dir + "/pids.max"); err != nil {
		return []PidsLevel{l}, nil
	}
	above, err := parent.PidsLevels()
	return append([]PidsLevel{l}, above...), err
}

func (g *Group) Refused() (n uint64, err error) {
	f, err := os.Open(g.dir + "/pids.events")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = fmt.Fscanf(f, "max %d\n", &n)
	return n, err
}
