package oci

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

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
