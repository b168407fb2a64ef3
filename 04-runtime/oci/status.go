package oci

import "fmt"

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
