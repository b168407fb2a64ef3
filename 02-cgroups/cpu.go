package cgroups

import (
	"time"

	"coracle/internal/exercise"
)

// Exercise 2.4: CPU quota and weight from milli-CPUs
//
// There are two ways to share a processor. A weight says who gets how much when
// several want it, and nothing while nobody else does. A quota says how many
// microseconds of every period a group may run, even on an idle machine; with
// several processors it may be more than the period. Kubernetes words both in
// thousandths of a CPU, the request becomes the weight and the limit the quota,
// by way of v1's cpu.shares, where 1024 were one CPU. These are its conversions;
// a node's files differ if runc (from 1.3.2) bends the line so that 1024 become 100.
// No floating point: everything is a whole number, rounded down.
//
// Kernel: cgroup-v2.rst, "CPU Interface Files"; Kubernetes:
// pkg/kubelet/cm/helpers_linux.go.
//
// Delete this line when you start:
var _ = todo("2.4")

// SharesFromMilliCPU converts a request to v1's shares: 1024 for 1000 milli-CPUs,
// never less than 2 or more than 262144, for any argument that an int64 can hold.
//
//	500 → 512    1 → 2    0 → 2    1 << 62 → 262144
func SharesFromMilliCPU(milli int64) int64 { return 0 }

// WeightFromShares maps v1's shares, 2 to 262144, evenly onto v2's weights, 1 to
// 10000: 1 + (shares-2)·9999/262142. Shares outside their range count as its end.
//
//	2 → 1    1024 → 39    262144 → 10000
func WeightFromShares(shares int64) int64 { return 0 }

// QuotaFromMilliCPU returns how long a group may run in each period, in whole
// microseconds. The kernel refuses a quota below 1 ms, so that is the least.
//
//	(500, 100ms) → 50ms    (2500, 100ms) → 250ms    (1, 100ms) → 1ms
func QuotaFromMilliCPU(milli int64, period time.Duration) time.Duration { return 0 }

// Values returns what to write: cpu.weight for a Request, and cpu.max, quota and
// period in microseconds, for a Limit; nothing for what is 0. A Limit that is
// Unlimited has the quota "max". A Period of 0 is 100 ms.
//
//	CPU{Request: 1000, Limit: 500} → {cpu.weight 39} {cpu.max "50000 100000"}
//	CPU{Limit: Unlimited}          → {cpu.max "max 100000"}
//
// Errors: a Request below 0, a Limit below Unlimited or above 1 << 32, a Period
// below 1 ms or above 1 s (the kernel's bounds); the error holds the number.
//
// Done when: `./lab test 2.4` is green.
func (c CPU) Values() ([]Value, error) {
	return nil, exercise.Unwritten("2.4")
}
