package cgroups

import (
	"context"

	"coracle/internal/exercise"
)

// Exercise 2.7: freeze and kill a tree
//
// A process may fork faster than anybody can list its children. A group cannot be
// left by forking, so "all of it" has a meaning here: one write stops or kills
// everything in a group and below it. Both take effect some time after the write;
// cgroup.events tells when (frozen, populated), and poll(2) with POLLPRI tells when
// that file has changed since it was last read through the same descriptor.
//
// Kernel: cgroup-v2.rst, cgroup.events, cgroup.freeze, cgroup.kill; cgroups(7),
// "Cgroups v2 release notification".
//
// Delete this line when you start:
var _ = todo("2.7")

// Populated says whether a process is alive in g or in any group below it.
// cgroup.procs would tell of g alone.
//
// May use: ParseKeyed of exercise 2.1 on cgroup.events.
func (g *Group) Populated() (bool, error) {
	return false, exercise.Unwritten("2.7")
}

// Freeze stops every process in g and below it and returns once all of them stand
// ("frozen 1"). Thaw lets them go on and returns once they do. A group without
// processes, and one that is frozen already, freeze at once.
//
// Errors: that of the write; ctx's, with g's folder, when it ends before the
// processes stand: the group is then left as it is, on its way. It is noticed
// within a tenth of a second.
// May use: g.Write, unix.Poll, unix.Pread.
func (g *Group) Freeze(ctx context.Context) error { return exercise.Unwritten("2.7") }

// Thaw undoes Freeze. Below a group that is frozen nothing goes on: it then waits
// until ctx ends.
func (g *Group) Thaw(ctx context.Context) error { return exercise.Unwritten("2.7") }

// Kill ends every process in g and below it, frozen ones too, and returns once none
// is left ("populated 0"). g and its children stay, empty. Processes that nobody
// has waited for (zombies) do not count.
//
// cgroup.kill is there from Linux 5.14; before it, freeze, signal each, thaw. (A 0
// in cgroup.procs is a process that this pid namespace cannot name, but kill(2)
// takes it for the caller's own process group.)
//
// Errors: as Freeze's.
//
// Done when: `./lab test 2.7` is green.
func (g *Group) Kill(ctx context.Context) error { return exercise.Unwritten("2.7") }
