// Mistake: a file without the line full is refused; before Linux 5.13 cpu.pressure has none
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func ParsePressure(text string) (Pressure, error) {
	var p Pressure
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			return p, errors.New("an empty line in a pressure file")
		}
		var to *Stall
		switch fields[0] {
		case "some":
			to = &p.Some
		case "full":
			to = &p.Full
		default:
			continue // a line of a later kernel
		}
		for _, f := range fields[1:] {
			if err := to.refSet(f); err != nil {
				return p, fmt.Errorf("line %q: %w", strings.TrimSpace(line), err)
			}
		}
	}
	if !strings.Contains(text, "full") && text != "" {
		return p, errors.New("no line full")
	}
	return p, nil
}

func (s *Stall) refSet(field string) error {
	key, value, ok := strings.Cut(field, "=")
	if !ok {
		return fmt.Errorf("%q is not KEY=VALUE", field)
	}
	if key == "total" {
		us, err := strconv.ParseInt(value, 10, 64)
		if err != nil || us < 0 || us > math.MaxInt64/1000 {
			return fmt.Errorf("%q: want microseconds", field)
		}
		s.Total = time.Duration(us) * time.Microsecond
		return nil
	}
	avg, err := strconv.ParseFloat(value, 64)
	if err != nil || !(avg >= 0 && avg <= 100) {
		return fmt.Errorf("%q: want a percentage", field)
	}
	switch key {
	case "avg10":
		s.Avg10 = avg
	case "avg60":
		s.Avg60 = avg
	case "avg300":
		s.Avg300 = avg
	}
	return nil
}
func (g *Group) Sample(at time.Time) (Sample, error) {
	s := Sample{At: at}
	var errs []error
	read := func(file string, parse func(string) error) {
		text, err := g.Read(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EOPNOTSUPP):
			return // the controller is not enabled; PSI is switched off
		case err == nil:
			err = parse(text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", g.dir, file, err))
		}
	}
	number := func(to *int64) func(string) error {
		return func(text string) (err error) { *to, err = strconv.ParseInt(text, 10, 64); return }
	}
	pressure := func(to *Pressure) func(string) error {
		return func(text string) (err error) { *to, err = ParsePressure(text); return }
	}
	read("cpu.stat", func(text string) error {
		stat, err := ParseKeyed(text)
		s.CPU = time.Duration(stat["usage_usec"]) * time.Microsecond
		s.Throttled = time.Duration(stat["throttled_usec"]) * time.Microsecond
		return err
	})
	read("memory.current", number(&s.Memory))
	read("pids.current", number(&s.Pids))
	read("cpu.pressure", pressure(&s.CPUPressure))
	read("memory.pressure", pressure(&s.MemoryPressure))
	read("io.pressure", pressure(&s.IOPressure))
	if _, err := g.Read("cgroup.procs"); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}
func Rate(from, to Sample) Rates {
	wall := to.At.Sub(from.At)
	if wall <= 0 {
		return Rates{}
	}
	share := func(from, to time.Duration) float64 {
		return float64(max(to-from, 0)) / float64(wall) // a counter that fell is another group's
	}
	stall := func(from, to Pressure) float64 { return min(100*share(from.Some.Total, to.Some.Total), 100) }
	return Rates{
		MilliCPU:    int64(math.Round(1000 * share(from.CPU, to.CPU))),
		CPUStall:    stall(from.CPUPressure, to.CPUPressure),
		MemoryStall: stall(from.MemoryPressure, to.MemoryPressure),
		IOStall:     stall(from.IOPressure, to.IOPressure),
	}
}
