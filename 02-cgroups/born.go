package cgroups

import (
	"os/exec"

	"coracle/internal/exercise"
)

// Exercise 2.3: born in the group
//
// The old way is to start a process and then write its pid into cgroup.procs. In
// between it runs without limits, forks children that stay outside, and touches
// memory that stays charged to where it was touched. clone3(2) has a flag for
// this, CLONE_INTO_CGROUP, and Go's SysProcAttr offers it: UseCgroupFD and
// CgroupFD, an open descriptor of the group's folder. The process is then a member
// before its first instruction, and if the group may hold no more of them, it is
// not born at all.
//
// Man page: clone(2), CLONE_INTO_CGROUP; open(2), O_PATH.
//
// Delete this line when you start:
var _ = todo("2.3")

// Start starts cmd, as cmd.Start does, in the group g. What the caller put into
// cmd.SysProcAttr stays, and no descriptor of the group is left open, in this
// process or in the child.
//
//	g.Start(exec.Command("cat", "/proc/self/cgroup")) prints "0::/…/g"
//
// Errors: a group that is gone (ENOENT), one that takes no more (EAGAIN) or that
// this process may not use (EACCES); the error names g's folder and wraps the
// kernel's.
// May use: unix.Open with O_PATH, O_DIRECTORY and O_CLOEXEC, unix.Close.
//
// Done when: `./lab test 2.3` is green.
func (g *Group) Start(cmd *exec.Cmd) error {
	return exercise.Unwritten("2.3")
}
