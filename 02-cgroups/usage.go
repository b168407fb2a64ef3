package cgroups

import (
	"time"

	"coracle/internal/exercise"
)

// Exercise 2.6: usage, rates and pressure
//
// The kernel gives counters that only grow; a rate is the difference of two
// readings over the time between them. Usage says how much of a resource was had,
// pressure how long somebody had to wait for it: a group that uses half a CPU may
// want only that much, or be stopped at its quota, and only cpu.pressure tells
// which. "some" is the time in which at least one task waited, "full" in which
// nobody in the group got on.
//
// Kernel: cgroup-v2.rst, cpu.stat; Documentation/accounting/psi.rst.
//
// Delete this line when you start:
var _ = todo("2.6")

// ParsePressure reads a pressure file. The averages are percentages, 0 to 100, the total
// is in microseconds. A line other than some and full, and a key that is not
// known, are of a later kernel and skipped; a line that is missing (cpu.pressure has
// no "full" before Linux 5.13) leaves its Stall zero.
//
//	"some avg10=1.50 avg60=0.30 avg300=0.07 total=2500000\n" →
//	Pressure{Some: Stall{Avg10: 1.5, Avg60: 0.3, Avg300: 0.07, Total: 2500 * time.Millisecond}}
//
// Errors: a field without "=", a value that is no number, is negative, is above 100
// (NaN is not a percentage) or does not fit a time.Duration; the error quotes it. An
// empty line is an error, an empty text is not.
func ParsePressure(text string) (Pressure, error) {
	return Pressure{}, exercise.Unwritten("2.6")
}

// Rate returns what happened between two samples: CPU time over wall time as
// milli-CPUs, rounded to the nearest; and for each resource the share of the time
// in which some task waited, in percent, at most 100, from the totals (the averages
// look back further than one interval). If no time passed, or the samples are in the
// wrong order, all is zero. A counter that fell belongs to a group that was made
// anew: its rate is zero.
//
//	250 ms of CPU in half a second → MilliCPU 500
func Rate(from, to Sample) Rates { return Rates{} }

// Sample reads what g has used: usage_usec and throttled_usec of cpu.stat,
// memory.current, pids.current and the three pressure files. A file that is not
// there (its controller is not enabled) or that answers EOPNOTSUPP (PSI is switched
// off) leaves its field zero.
//
// Errors: a group that is gone; a file that cannot be read or parsed, with its path.
// May use: g.Read, ParseKeyed of exercise 2.1, errors.Is with fs.ErrNotExist.
//
// Done when: `./lab test 2.6` is green.
func (g *Group) Sample(at time.Time) (Sample, error) {
	return Sample{}, exercise.Unwritten("2.6")
}
