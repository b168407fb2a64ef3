// Package cgroups runs a process with its own share of the machine.
//
// A control group is a folder of the cgroup2 file system. Its files are the
// kernel's: one that is written sets a limit, one that is read gives a number,
// and a process is in exactly one group, named in /proc/PID/cgroup. The package
// keeps two things apart:
//
//	what to write   Memory, CPU, Pids ── Values ──> []Value     pure, tested anywhere
//	what was read   ParseKeyed, ParsePressure, Rate
//	the kernel      Group: Child, Enable, Start, Sample, Freeze, Kill, Remove
//
// Guarantees:
//   - a process that Start began was in its group at its first instruction;
//   - Kill returns once no process is left in the group or below it;
//   - quantities are plain integers: bytes, milli-CPUs, microseconds. Nothing here
//     knows of Kubernetes.
//
// Caveats: v2 only. Machines whose controllers are mounted as v1 are served by
// the given package v1, for the program limit alone. Nobody may change a group
// behind a Group's back: nothing is cached, but nothing is locked either.
//
// In full size this is github.com/opencontainers/cgroups (fs2/), which runc and
// the kubelet use; pkg/kubelet/cm in Kubernetes decides what to write.
package cgroups
