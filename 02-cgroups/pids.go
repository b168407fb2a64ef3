package cgroups

import "coracle/internal/exercise"

// Exercise 2.5: pids: the contained fork bomb
//
// A fork bomb needs no memory and no CPU worth the name: it takes all process
// ids, and then nobody can start even a kill. pids.max is how many tasks a group
// may hold: threads count, too. At the limit fork fails with EAGAIN, for this
// group only. Limits hold in the whole tree, so what a group may still start is the
// least that any group on its way to the root leaves.
//
// Kernel: cgroup-v2.rst, "PID".
//
// Delete this line when you start:
var _ = todo("2.5")

// Values returns what to write for the limit: pids.max, "max" for Unlimited,
// nothing for 0.
//
//	Pids{32} → {pids.max 32}
//
// Errors: a value below Unlimited; the error holds the number.
func (p Pids) Values() ([]Value, error) {
	return nil, exercise.Unwritten("2.5")
}

// Headroom returns how many more tasks fit below all of the levels, Unlimited if
// none has a limit, and never a negative number otherwise: a group can hold more
// than its limit, because moving a process in is not refused.
//
//	{7 of 32} {9 of Unlimited} {95 of 100} → 5
func Headroom(levels []PidsLevel) int64 { return 0 }

// PidsLevels reads pids.current and pids.max of g and of every ancestor, g's
// first. It ends at the first ancestor without these files: that is the root, or
// where the part of the tree that can be seen from here ends.
//
// Errors: reading or parsing, with the path; g itself without these files.
// May use: g.Read, filepath.Dir, strconv.ParseInt, errors.Is with fs.ErrNotExist.
func (g *Group) PidsLevels() ([]PidsLevel, error) {
	return nil, exercise.Unwritten("2.5")
}

// Refused returns how many forks the limit has refused in g and below it: the key
// "max" of pids.events.
//
// May use: ParseKeyed of exercise 2.1.
//
// Done when: `./lab test 2.5` is green.
func (g *Group) Refused() (uint64, error) {
	return 0, exercise.Unwritten("2.5")
}
