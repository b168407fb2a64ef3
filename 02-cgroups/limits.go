package cgroups

import (
	"errors"
	"slices"
	"time"
)

// Unlimited takes a limit away: the kernel's word is "max".
const Unlimited int64 = -1

// A Value is the text for one file of a group.
type Value struct {
	File string // "memory.max"
	Text string // "67108864"
}

// Memory is what a group may hold, in bytes. 0 leaves a file as it is.
type Memory struct {
	Max  int64 // above it the OOM killer ends a process
	High int64 // above it processes are slowed down to reclaim; nothing is killed
	Swap int64 // beside Max, not within it; with a Max, 0 means no swap at all
}

// CPU is a group's share of the processors, in thousandths of one CPU.
type CPU struct {
	Request int64         // its weight when others want the CPU too; 0 leaves it
	Limit   int64         // what it never exceeds; 0 leaves it
	Period  time.Duration // over which Limit holds; 0 means 100 ms, the kernel's default
}

// Pids is how many processes and threads a group may hold. 0 leaves it.
type Pids struct{ Max int64 }

// Limits are all that a group is given.
type Limits struct {
	Memory Memory
	CPU    CPU
	Pids   Pids
}

// Values returns what to write for all of them.
func (l Limits) Values() ([]Value, error) {
	memory, err1 := l.Memory.Values()
	cpu, err2 := l.CPU.Values()
	pids, err3 := l.Pids.Values()
	return slices.Concat(memory, cpu, pids), errors.Join(err1, err2, err3)
}

// Controllers names the controllers that these limits need.
func (l Limits) Controllers() []string {
	var c []string
	if l.CPU != (CPU{}) {
		c = append(c, "cpu")
	}
	if l.Memory != (Memory{}) {
		c = append(c, "memory")
	}
	if l.Pids != (Pids{}) {
		c = append(c, "pids")
	}
	return c
}

// A PidsLevel is one group on the way from a group to the root.
type PidsLevel struct {
	Current int64 // processes and threads in it and below it
	Max     int64 // Unlimited for "max"
}

// Pressure is what the kernel measured of waiting for one resource (PSI,
// Documentation/accounting/psi.rst).
type Pressure struct {
	Some Stall // at least one task waited
	Full Stall // all tasks that were not idle waited at the same time
}

// A Stall is one line of a pressure file. The averages are percentages of the
// last 10, 60 and 300 seconds; Total only ever grows.
type Stall struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration
}

// A Sample is what a group has used up to a moment. What the group's controllers
// do not tell is zero.
type Sample struct {
	At        time.Time
	CPU       time.Duration // on a processor, all tasks together, since the group was made
	Throttled time.Duration // stopped because the quota of the period was used up
	Memory    int64         // bytes now
	Pids      int64         // processes and threads now

	CPUPressure, MemoryPressure, IOPressure Pressure
}

// Rates is what happened between two samples.
type Rates struct {
	MilliCPU int64 // 1500: one and a half processors were busy

	// Percentages of the time between the samples in which some task waited.
	CPUStall, MemoryStall, IOStall float64
}
