package oci

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Status is where a container is in its life (runtime-spec, runtime.md, "State"),
// and Paused, which runtimes add.
type Status string

const (
	Creating Status = "creating"
	Created  Status = "created" // all set up, the program has not begun
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// An Operation is what a caller asks of a container that exists.
type Operation string

const (
	OpStart       Operation = "start"
	OpKill        Operation = "kill"
	OpDelete      Operation = "delete"
	OpForceDelete Operation = "delete --force"
	OpExec        Operation = "exec"
	OpPause       Operation = "pause"
	OpResume      Operation = "resume"
	OpUpdate      Operation = "update"
	OpProcesses   Operation = "ps"
)

// Facts are what can be seen of a container from outside. The status is never
// stored: whoever would have to store "stopped" may be killed before.
type Facts struct {
	Making  bool // a create holds the container's lock and is not done
	Done    bool // create finished
	Alive   bool // the first process exists, with the start time that was noted, and is no zombie
	Barrier bool // exec.fifo is there: nobody has let the process through
	Frozen  bool // the cgroup is
}

// StatusOf says which status the facts amount to.
//
//	{Making}                       → creating
//	{Done, Alive, Barrier}         → created
//	{Done, Alive}                  → running
//	{Done, Alive, Frozen}          → paused, before the barrier too
//	{} , {Done}, {Done, Barrier}   → stopped: also one whose create was killed
func StatusOf(f Facts) Status {
	switch {
	case f.Making:
		return Creating
	case !f.Done || !f.Alive:
		return Stopped
	case f.Frozen:
		return Paused
	case f.Barrier:
		return Created
	}
	return Running
}

// refAllowed is runtime.md, "Operations": start wants created, kill created or
// running, delete stopped. The other operations are not the spec's, and as runc has them.
var refAllowed = map[Operation][]Status{
	OpStart:       {Created},
	OpKill:        {Created, Running, Paused},
	OpDelete:      {Stopped},
	OpForceDelete: {Created, Running, Paused, Stopped},
	OpExec:        {Created, Running},
	OpPause:       {Created, Running},
	OpResume:      {Paused},
	OpUpdate:      {Created, Running, Paused},
	OpProcesses:   {Created, Running, Paused},
}

// Allow returns nil if the operation may be tried in this status. If not, the error
// is an *OperationError: "MUST have no effect on the container and MUST generate an error".
func Allow(op Operation, s Status) error {
	for _, ok := range refAllowed[op] {
		if s == ok {
			return nil
		}
	}
	return &OperationError{Op: op, Status: s, Want: refAllowed[op]}
}

// StateOf makes the state that hooks read on stdin and `state` prints
// (runtime.md, "State"): the pid only while there is a process, in creating too once
// it has been cloned, annotations as the bundle gives them.
func StateOf(c Container, s Status) specs.State {
	state := specs.State{Version: specs.Version, ID: c.ID, Status: specs.ContainerState(s), Bundle: c.Bundle, Annotations: c.Annotations}
	if s != Stopped {
		state.Pid = c.PID
	}
	return state
}

// An OperationError is an operation that the container's status rules out.
type OperationError struct {
	Op     Operation
	Status Status
	Want   []Status
}

// Error words it so that callers which look at the text find what they look for:
// containerd's shim takes "container not running" for "it has ended already".
func (e *OperationError) Error() string {
	switch {
	case e.Status == Stopped && e.Op == OpStart:
		return "cannot start a container that has stopped"
	case e.Status == Stopped:
		return fmt.Sprintf("cannot %s: container not running", e.Op)
	case e.Op == OpDelete:
		return fmt.Sprintf("cannot delete a container that is not stopped but %s: kill it first, or delete --force", e.Status)
	}
	return fmt.Sprintf("cannot %s a container that is %s: want %v", e.Op, e.Status, e.Want)
}
