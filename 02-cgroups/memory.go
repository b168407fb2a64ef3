package cgroups

import (
	"syscall"

	"coracle/internal/exercise"
)

// Exercise 2.1: memory limits, and knowing that it was the OOM killer
//
// A memory limit is one number in one file, memory.max. What makes it work is
// around it: swap, which would turn the limit into slowness; what else dies when
// one process is over it; and telling afterwards. A process that the OOM killer
// ended looks like any other that got SIGKILL. The only witness is the group's
// memory.events, where oom_kill counts the processes that were killed, while oom
// counts the allocations that could not be served.
//
// Man page: cgroups(7). The words on every file are in the kernel's
// Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files".
//
// Delete this line when you start:
var _ = todo("2.1")

// Values returns what to write for a memory limit. Bytes are written as decimal
// numbers, Unlimited as "max". In any order:
//
//   - memory.high for High and memory.swap.max for Swap, memory.max for Max, and
//     nothing for one that is 0 …
//   - … except that with a Max above 0 memory.swap.max is always written: without
//     it the kernel moves what is too much to the disk and nobody is stopped;
//   - memory.oom.group "1" with a Max above 0, so that the whole group dies when
//     one process of it is killed, instead of living on without a part.
//
// v2 counts swap by itself: memory.swap.max is not memory and swap together, as
// in v1 and in Docker's --memory-swap.
//
//	Memory{Max: 64 << 20} → {memory.swap.max 0} {memory.max 67108864} {memory.oom.group 1}
//
// Errors: a value below Unlimited; the error names the file and the number.
func (m Memory) Values() ([]Value, error) {
	return nil, exercise.Unwritten("2.1")
}

// ParseKeyed reads a flat keyed file, as memory.events, cpu.stat, pids.events and
// cgroup.events are: one key, one space and one whole number ≥ 0 a line. It keeps
// keys that it does not know: later kernels have more.
//
//	"max 12\noom 1\noom_kill 1\n" → {"max": 12, "oom": 1, "oom_kill": 1}
//
// Errors: a line of another form; the error quotes it. An empty text has no keys.
// May use: strings.Lines or bufio, strings.Cut, strconv.ParseUint.
func ParseKeyed(text string) (map[string]uint64, error) {
	return nil, exercise.Unwritten("2.1")
}

// OOMKilled says whether a process that ended with this status was ended by the
// OOM killer, given the memory.events of a group that was made for it alone. It
// was if it died of SIGKILL and the group counts a kill. Neither is enough: kill -9
// sends the same signal, and a child may have been the one that was killed.
//
// May use: status.Signaled, status.Signal.
//
// Done when: `./lab test 2.1` is green.
func OOMKilled(status syscall.WaitStatus, events map[string]uint64) bool {
	return false
}
