// Alternative: each pressure line by fmt.Sscanf, and a table of files for the sample.
package cgroups

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func ParsePressure(text string) (p Pressure, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		return p, nil
	}
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		if kind == "" {
			return p, fmt.Errorf("%q in a pressure file", line)
		}
		stall := map[string]*Stall{"some": &p.Some, "full": &p.Full}[kind]
		if stall == nil {
			continue
		}
		to := map[string]*float64{"avg10": &stall.Avg10, "avg60": &stall.Avg60, "avg300": &stall.Avg300}
		for _, pair := range strings.Fields(rest) {
			key, value, ok := strings.Cut(pair, "=")
			n, err := strconv.ParseFloat(value, 64)
			if !ok || err != nil || !(n >= 0) {
				return p, fmt.Errorf("%q in a pressure file", pair)
			}
			if key == "total" {
				us, err := strconv.ParseUint(value, 10, 63)
				if err != nil || us > (1<<63-1)/1000 {
					return p, fmt.Errorf("%q in a pressure file", pair)
				}
				stall.Total = time.Duration(us * 1000)
			} else if n > 100 {
				return p, fmt.Errorf("%q in a pressure file", pair)
			} else if to[key] != nil {
				*to[key] = n
			}
		}
	}
	return p, nil
}

func (g *Group) Sample(at time.Time) (Sample, error) {
	s := Sample{At: at}
	if _, err := os.Stat(g.dir); err != nil {
		return s, err
	}
	set := func(to *Pressure) func(string) error {
		return func(text string) error {
			p, err := ParsePressure(text)
			*to = p
			return err
		}
	}
	for _, f := range []struct {
		name string
		take func(string) error
	}{
		{"cpu.stat", func(text string) error {
			m, err := ParseKeyed(text)
			s.CPU, s.Throttled = time.Duration(m["usage_usec"]*1000), time.Duration(m["throttled_usec"]*1000)
			return err
		}},
		{"memory.current", func(text string) error { _, err := fmt.Sscan(text, &s.Memory); return err }},
		{"pids.current", func(text string) error { _, err := fmt.Sscan(text, &s.Pids); return err }},
		{"cpu.pressure", set(&s.CPUPressure)},
		{"memory.pressure", set(&s.MemoryPressure)},
		{"io.pressure", set(&s.IOPressure)},
	} {
		text, err := g.Read(f.name)
		if os.IsNotExist(err) || errors.Is(err, syscall.ENOTSUP) {
			continue
		}
		if err == nil {
			err = f.take(text)
		}
		if err != nil {
			return s, fmt.Errorf("%s of %s: %w", f.name, g.dir, err)
		}
	}
	return s, nil
}

func Rate(from, to Sample) (r Rates) {
	wall := to.At.Sub(from.At)
	if wall <= 0 {
		return r
	}
	if to.CPU > from.CPU {
		r.MilliCPU = int64((to.CPU - from.CPU + wall/2000) / (wall / 1000))
	}
	for _, x := range []struct {
		to       *float64
		from, by Pressure
	}{{&r.CPUStall, from.CPUPressure, to.CPUPressure}, {&r.MemoryStall, from.MemoryPressure, to.MemoryPressure}, {&r.IOStall, from.IOPressure, to.IOPressure}} {
		if d := x.by.Some.Total - x.from.Some.Total; d >= wall {
			*x.to = 100
		} else if d > 0 {
			*x.to = d.Seconds() / wall.Seconds() * 100
		}
	}
	return r
}
