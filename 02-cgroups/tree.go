package cgroups

import "coracle/internal/exercise"

// Exercise 2.2: the tree and subtree_control
//
// mkdir makes a group, rmdir removes it. A new group has only the files of the
// controllers that its parent gave away in cgroup.subtree_control, and a parent
// gives away only what it has itself (cgroup.controllers). The one rule that
// everybody trips over: a group other than the root either holds processes or
// gives controllers away. So before a group that holds processes is divided, they
// move to a leaf below it.
//
// Kernel: Documentation/admin-guide/cgroup-v2.rst, "Organizing Processes and
// Threads" to "No Internal Process Constraint"; cgroups(7), "Cgroups v2
// cgroup.subtree_control".
//
// Delete this line when you start:
var _ = todo("2.2")

// SubtreeControl returns what to write into cgroup.subtree_control so that want is
// enabled: "+NAME" for each that is not, one space between, in want's order. All
// are written at once or none: the kernel takes the line as one step.
//
//	SubtreeControl([cpu memory pids], [cpu], [cpu memory pids]) → "+memory +pids"
//	SubtreeControl([cpu memory], [cpu memory], [cpu])           → ""
//
// Errors: a controller that is not available; the error names it.
func SubtreeControl(available, enabled, want []string) (string, error) {
	return "", exercise.Unwritten("2.2")
}

// Child makes a group below g, mode 0755, and returns it; one that is there
// already is returned as it is.
//
// Errors: a name that is empty, ".", ".." or has a slash or a line end; a name
// that is a file of the kernel's, such as "cgroup.procs".
// May use: os.Mkdir, Open.
func (g *Group) Child(name string) (*Group, error) {
	return nil, exercise.Unwritten("2.2")
}

// Enable gives controllers to the groups below g. If there is something to write
// and g holds processes, they move to the child "leaf" first, until g holds none:
// writing a pid into a group's cgroup.procs moves the process. Only the root of the whole
// tree keeps its processes; it is the one group without a file cgroup.type.
//
// Do not wait for EBUSY: cpu and pids are threaded controllers, and for these the
// kernel does not refuse, but makes g a threaded domain, whose children take no
// process.
//
// Errors: that of SubtreeControl with g's folder; a pid that ended meanwhile
// (ESRCH) is none; processes that appear faster than they move, after some tries.
// May use: g.Read, g.Write, SubtreeControl, Child.
func (g *Group) Enable(controllers ...string) error {
	return exercise.Unwritten("2.2")
}

// Remove removes the groups below g, then g. A group that is gone already is no
// error. The files in a group cannot be removed, they go with the folder.
//
// Errors: EBUSY, with the path, while a process is in it: Remove kills nothing.
// May use: os.ReadDir, syscall.Rmdir.
//
// Done when: `./lab test 2.2` is green.
func (g *Group) Remove() error {
	return exercise.Unwritten("2.2")
}
