package probe

import "errors"

// ErrNoAnswer says that the question could not be put: the runtime failed, or the probe
// names a port that there is not. That is no fault of the container's.
var ErrNoAnswer = errors.New("the container could not be asked")

// A Result is what a probe has found so far.
type Result int

const (
	Unknown Result = iota
	Success
	Failure
)

// Results are those of a container's three probes. Of a probe that it does not have,
// or that did not run yet, the result is Unknown.
type Results struct{ Startup, Liveness, Readiness Result }

// A Kind of probe, as messages name it: "Liveness probe failed: …".
type Kind string

const (
	Startup   Kind = "Startup"
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
)
