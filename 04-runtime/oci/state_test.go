package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
)

func TestStatusOf(t *testing.T) {
	for _, c := range []struct {
		facts Facts
		want  Status
	}{
		{Facts{Making: true}, Creating},
		{Facts{Making: true, Alive: true, Barrier: true}, Creating},
		{Facts{Done: true, Alive: true, Barrier: true}, Created},
		{Facts{Done: true, Alive: true}, Running},
		{Facts{Done: true, Alive: true, Frozen: true}, Paused},
		{Facts{Done: true, Alive: true, Barrier: true, Frozen: true}, Paused},
		{Facts{Done: true}, Stopped},
		{Facts{Done: true, Barrier: true}, Stopped},
		{Facts{Alive: true, Barrier: true}, Stopped}, // its create was killed: nobody will ever finish it
		{Facts{Done: true, Frozen: true}, Stopped},
		{Facts{}, Stopped},
	} {
		check.Equal(t, fmt.Sprintf("StatusOf(%+v)", c.facts), c.want, StatusOf(c.facts),
			check.Often(c.want == Stopped, "a status that trusts what create noted, and not whether the process lives"))
	}
}

func TestAllow(t *testing.T) {
	all := []Status{Creating, Created, Running, Paused, Stopped}
	for op, allowed := range map[Operation][]Status{
		OpStart:       {Created},
		OpKill:        {Created, Running, Paused},
		OpDelete:      {Stopped},
		OpForceDelete: {Created, Running, Paused, Stopped},
		OpExec:        {Created, Running},
		OpPause:       {Created, Running},
		OpResume:      {Paused},
		OpUpdate:      {Created, Running, Paused},
		OpProcesses:   {Created, Running, Paused},
	} {
		for _, s := range all {
			check.Equal(t, fmt.Sprintf("whether %s is allowed in %s", op, s), slices.Contains(allowed, s), Allow(op, s) == nil)
		}
	}
	for _, s := range all {
		check.True(t, "an operation that is none", Allow("no-such", s) != nil, "allowed", "an error")
	}
}

func TestAllow_Errors(t *testing.T) {
	for _, c := range []struct {
		op    Operation
		s     Status
		words string
	}{
		{OpKill, Stopped, "container not running"}, // what containerd's shim looks for
		{OpExec, Stopped, "container not running"},
		{OpStart, Stopped, "stopped"},
		{OpStart, Running, "running"},
		{OpDelete, Running, "kill it first"},
		{OpExec, Paused, "paused"},
	} {
		err := Allow(c.op, c.s)
		var e *OperationError
		check.True(t, fmt.Sprintf("the error of %s in %s", c.op, c.s), errors.As(err, &e) && e.Op == c.op && e.Status == c.s, fmt.Sprintf("%#v", err), "an *OperationError with both")
		check.True(t, fmt.Sprintf("the error of %s in %s", c.op, c.s), strings.Contains(err.Error(), c.words) && !strings.Contains(err.Error(), "\n"), err.Error(), c.words)
	}
}

func TestStateOf(t *testing.T) {
	c := Container{ID: "one", Bundle: "/b", PID: 42, Annotations: map[string]string{"a": "b"}}
	for status, want := range map[Status]string{
		Running: `{"ociVersion":"` + specs.Version + `","id":"one","status":"running","pid":42,"bundle":"/b","annotations":{"a":"b"}}`,
		Stopped: `{"ociVersion":"` + specs.Version + `","id":"one","status":"stopped","bundle":"/b","annotations":{"a":"b"}}`,
	} {
		got, err := json.Marshal(StateOf(c, status))
		check.NoError(t, "encode the state", err)
		check.Equal(t, "the state of a "+string(status)+" container", want, string(got))
	}
}
