package cgroups

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

const both = `some avg10=1.50 avg60=0.30 avg300=0.07 total=2500000
full avg10=0.25 avg60=0.05 avg300=0.01 total=400000
`

func TestParsePressure(t *testing.T) {
	exercise.Need(t, "2.6")
	some := Stall{1.5, 0.3, 0.07, 2500 * time.Millisecond}
	full := Stall{0.25, 0.05, 0.01, 400 * time.Millisecond}
	head, _, _ := strings.Cut(both, "\n")
	for _, c := range []struct {
		did, text string
		want      Pressure
	}{
		{"both lines", both, Pressure{some, full}},
		{"no line of full", head + "\n", Pressure{Some: some}},
		{"a line and a key of a later kernel", "other avg10=7\n" + head + " avg900=0.02\n", Pressure{Some: some}},
		{"nothing", "", Pressure{}},
	} {
		got, err := ParsePressure(c.text)
		check.NoError(t, "ParsePressure of "+c.did, err, check.Often(!strings.Contains(c.text, "full"), "a file without the line full is refused; before Linux 5.13 cpu.pressure has none"))
		check.Equal(t, "ParsePressure of "+c.did, c.want, got,
			check.Often(got.Some.Total == 2500000 || got.Some.Total == 2500000*time.Millisecond, "total is in microseconds"))
	}
	for _, bad := range []string{"some avg10", "some avg10=x", "some avg10=-1.00", "some avg10=101", "some avg10=NaN", "some total=-1", "some total=1.5", "some total=9223372036854775807", "some total=99999999999999999999", "\n"} {
		_, err := ParsePressure(bad)
		check.True(t, fmt.Sprintf("ParsePressure(%q)", bad), err != nil, "no error", "an error that quotes it")
	}
}

func FuzzParsePressure(f *testing.F) {
	f.Add(both)
	f.Add("some total=9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		exercise.Need(t, "2.6")
		p, err := ParsePressure(text)
		for _, s := range []Stall{p.Some, p.Full} {
			if err == nil && (s.Total < 0 || !(s.Avg10 >= 0 && s.Avg10 <= 100)) {
				t.Fatalf("%q → %+v", text, p)
			}
		}
	})
}

func TestRate(t *testing.T) {
	exercise.Need(t, "2.6")
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	stalled := func(d time.Duration) Pressure { return Pressure{Some: Stall{Avg10: 88, Total: d}} }
	from := Sample{At: at, CPU: 10 * time.Second, CPUPressure: stalled(time.Second), MemoryPressure: stalled(0), IOPressure: stalled(5 * time.Second)}
	to := Sample{At: at.Add(500 * time.Millisecond), CPU: 10250 * time.Millisecond, CPUPressure: stalled(1100 * time.Millisecond), MemoryPressure: stalled(700 * time.Millisecond), IOPressure: stalled(time.Second)}
	got := Rate(from, to)
	check.Equal(t, "MilliCPU of 250 ms in half a second", int64(500), got.MilliCPU,
		check.Often(got.MilliCPU == 250, "the interval is taken to be a second"),
		check.Often(got.MilliCPU == 0 || got.MilliCPU > 5000, "a counter is taken for a rate"))
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	check.True(t, "CPUStall of 100 ms in half a second", near(got.CPUStall, 20), fmt.Sprint(got.CPUStall), "20 %",
		check.Often(got.CPUStall == 88, "the average of ten seconds is taken for this interval"))
	check.True(t, "MemoryStall of 700 ms in half a second", near(got.MemoryStall, 100), fmt.Sprint(got.MemoryStall), "100 %, the most there is")
	check.True(t, "IOStall of a counter that fell", got.IOStall == 0, fmt.Sprint(got.IOStall), "0",
		check.Often(got.IOStall < 0, "a counter that fell belongs to another group of the same name"))
	check.Equal(t, "Rate of a counter of CPU time that fell", int64(0), Rate(Sample{At: at, CPU: time.Hour}, to).MilliCPU)
	check.Equal(t, "Rate of two samples at the same time", Rates{}, Rate(from, from))
	check.Equal(t, "Rate of two samples in the wrong order", Rates{}, Rate(to, from))
	check.Equal(t, "MilliCPU of 1.6 ms in a second", int64(2), Rate(Sample{At: at}, Sample{At: at.Add(time.Second), CPU: 1600 * time.Microsecond}).MilliCPU)
}

func TestSample_CountsWork(t *testing.T) {
	exercise.Need(t, "2.6", "2.1")
	g := ownGroup(t)
	at := time.Now()
	idle, err := g.Sample(at)
	check.NoError(t, "Sample of a new group", err, check.Often(true, "a file whose controller is not enabled is not there; that is no error"))
	check.True(t, "its At", idle.At.Equal(at), idle.At.String(), "the argument's")
	check.Equal(t, "burn's exit status", 0, spawn(t, g, "burn", "40ms").wait().ExitStatus())
	s, err := g.Sample(at.Add(time.Second))
	check.NoError(t, "Sample", err)
	// What it used before it was moved here is counted elsewhere.
	check.True(t, "CPU time after 40 ms of work", s.CPU > 20*time.Millisecond && s.CPU < 10*time.Second, s.CPU.String(), "about 40ms",
		check.Often(s.CPU > 0, "usage_usec is in microseconds"))
	stat, err := reader(t, g).Stat()
	check.NoError(t, "containerd's reading", err)
	check.Equal(t, "CPU time as containerd reads it", stat.GetCPU().GetUsageUsec(), uint64(s.CPU.Microseconds()))
	check.True(t, "MilliCPU between the two", Rate(idle, s).MilliCPU > 20, fmt.Sprint(Rate(idle, s).MilliCPU), "more than 20")
	_, err = (&Group{g.Dir() + "/gone"}).Sample(at)
	check.ErrorIs(t, "Sample of a group that is gone", err, os.ErrNotExist)

	if sandbox.Controller("memory").Has() != nil || sandbox.Controller("pids").Has() != nil {
		return
	}
	write(t, &Group{mount(t)}, "cgroup.subtree_control", "+memory +pids")
	spawn(t, g, "spin", "1").line()
	s, err = g.Sample(at)
	check.NoError(t, "Sample with all controllers", err)
	check.True(t, "Memory and Pids of a process that runs", s.Memory > 4096 && s.Pids >= 2, fmt.Sprint(s.Memory, " ", s.Pids), "more than a page, and at least 2")

	if sandbox.Controller("cpu").Has() != nil {
		return
	}
	write(t, &Group{mount(t)}, "cgroup.subtree_control", "+cpu")
	write(t, g, "cpu.max", "1000 10000")
	check.Eventually(t, "Sample of a busy process with a tenth of a CPU", "Throttled above 0", func() bool {
		s, err := g.Sample(at)
		return err != nil || s.Throttled > 0
	}, check.Often(true, "throttled_usec of cpu.stat is never read"))
}

func TestSample_SeesPressure(t *testing.T) {
	exercise.Need(t, "2.6", "2.1")
	g := ownGroup(t)
	sandbox.Need(t, sandbox.Feature{Name: "pressure stall information", Fix: "boot with psi=1, or: ./lab vm test 2",
		Has: func() error { _, err := g.Read("cpu.pressure"); return err }})
	spawn(t, g, "spin", "4").line()
	var s Sample
	var err error
	check.Eventually(t, "Sample of four busy processes on one CPU", "CPUPressure.Some.Total above 0", func() bool {
		s, err = g.Sample(time.Now())
		return err != nil || s.CPUPressure.Some.Total > 0
	})
	check.NoError(t, "Sample", err)
	check.True(t, "Full next to Some", s.CPUPressure.Full.Total <= s.CPUPressure.Some.Total, fmt.Sprintf("%+v", s.CPUPressure), "at most Some")
}
