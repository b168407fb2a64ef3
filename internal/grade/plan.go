package grade

import "time"

// Limits hold for one rung.
type Limits struct {
	Time   time.Duration // of the test binary; the sandbox gets a little more
	Memory int64         // bytes
	Tasks  int
}

// DefaultLimits are far above what any reference needs.
var DefaultLimits = Limits{30 * time.Second, 1 << 30, 1024}

// A unit is one test binary and the rungs to run in it, one process each.
type unit struct {
	ID     string
	Bin    string
	Dir    string // where it runs: a copy of the package's other files
	Cgroup bool   // some exercises need a group, and every submission is limited by one where there can be one
	Tests  []string
	Limits Limits
	Hide   []string
}

// State is what came of an exercise or a rung.
type State string

const (
	Passed    State = "passed"
	Failed    State = "failed"
	Unwritten State = "unwritten"      // marked, or no such file
	Cannot    State = "machine cannot" // it could not be judged here
	Refused   State = "refused"        // not built: its imports, or it does not compile
)

// A Rung is one test's result.
type Rung struct {
	Test    string  `json:"test"`
	Says    string  `json:"says"`
	State   State   `json:"state"`
	Points  float64 `json:"points"`
	Message string  `json:"message,omitempty"`
	Seconds float64 `json:"seconds"`
}
