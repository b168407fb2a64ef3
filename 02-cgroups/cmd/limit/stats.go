package main

import (
	"fmt"
	"os"
	"time"

	cgroups "coracle/02-cgroups"
)

// watch prints usage and pressure at each interval until stop is called, which
// prints the total.
func watch(g group, o *options, begin time.Time) (stop func()) {
	if o.stats == 0 {
		return func() {}
	}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(o.stats)
		defer tick.Stop()
		last := cgroups.Sample{At: begin}
		for {
			select {
			case <-end:
				return
			case now := <-tick.C:
				s, err := g.Sample(now)
				if err != nil {
					fmt.Fprintln(os.Stderr, "limit:", err)
					return
				}
				o.print(now.Sub(begin), s, cgroups.Rate(last, s), s.Throttled-last.Throttled)
				last = s
			}
		}
	}()
	return func() {
		close(end)
		<-done
		now := time.Now()
		if s, err := g.Sample(now); err == nil {
			fmt.Fprintf(os.Stderr, "limit: total: %v of CPU in %v, throttled %v, waited %v for CPU, %v for memory, %v for IO\n",
				s.CPU.Round(time.Millisecond), now.Sub(begin).Round(time.Millisecond), s.Throttled.Round(time.Millisecond),
				s.CPUPressure.Some.Total.Round(time.Millisecond), s.MemoryPressure.Some.Total.Round(time.Millisecond), s.IOPressure.Some.Total.Round(time.Millisecond))
		}
	}
}

func (o *options) print(t time.Duration, s cgroups.Sample, r cgroups.Rates, throttled time.Duration) {
	fmt.Fprintf(os.Stderr, "limit: %6.1fs  cpu %s%s  throttled %s  memory %s%s  pids %d%s  waiting: cpu %.0f%% memory %.0f%% io %.0f%%\n",
		t.Seconds(), fmt.Sprintf("%dm", r.MilliCPU), of(o.shown[1]), throttled.Round(time.Millisecond),
		memory(s.Memory), of(o.shown[0]), s.Pids, of(o.shown[2]), r.CPUStall, r.MemoryStall, r.IOStall)
}

// of words the limit beside a number.
func of(limit string) string {
	if limit == "" {
		return ""
	}
	return " of " + limit
}

func memory(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%dG", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dK", n>>10)
}
