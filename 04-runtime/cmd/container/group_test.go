package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// What goes by the container's groups: pause, resume, ps, events, update, kill --all.
func TestContainer_Group(t *testing.T) {
	n := newNode(t, realRoot, sandbox.OwnGroup)
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000 & sleep 2000", nil), "one")
	pids := func() (all []int) {
		t.Helper()
		out, errs, _ := n.calls("ps", "--format", "json", "one")
		check.NoError(t, "read ps --format json, which said "+errs, json.Unmarshal([]byte(out), &all))
		return all
	}
	check.Eventually(t, "container ps", "three processes", func() bool { return len(pids()) == 3 })
	table := n.ok("ps", "one")
	check.True(t, "container ps", strings.Contains(table, "sleep 1000") && strings.Contains(table, "sleep 2000") && strings.Count(table, "\n") == 4, table, "a heading, both and their shell")

	n.fails([]string{"running", "paused"}, "resume", "one")
	n.ok("pause", "one")
	check.Equal(t, "the status of a paused container", "paused", n.status("one"))
	n.fails([]string{"paused"}, "pause", "one")
	n.fails([]string{"paused"}, "exec", "one", "true")
	n.ok("resume", "one")
	check.Equal(t, "the status of a resumed container", "running", n.status("one"))

	var e struct {
		Type, ID string
		Data     struct {
			Pids struct{ Current, Limit uint64 }
		}
	}
	n.ok("update", "--pids-limit", "77", "one")
	out := n.ok("events", "--stats", "one")
	check.NoError(t, "read events --stats", json.Unmarshal([]byte(out), &e))
	check.Equal(t, "events --stats", "stats one true 77", fmt.Sprint(e.Type, " ", e.ID, " ", e.Data.Pids.Current >= 3, " ", e.Data.Pids.Limit))

	n.ok("pause", "one")
	n.ok("kill", "--all", "one", "KILL") // frozen as they are
	n.ends("one")
	n.fails([]string{"not running"}, "pause", "one")
	n.ok("kill", "--all", "one", "KILL") // nothing is left: no error, engines do so
}

// Without a PID namespace of its own, SIGKILL to the first process ends them all.
func TestContainer_SharedPIDs(t *testing.T) {
	n := newNode(t, realRoot, sandbox.OwnGroup)
	bundle := n.bundle("sleep 1000 & sleep 2000", func(s *specs.Spec) {
		for i, ns := range s.Linux.Namespaces {
			if ns.Type == specs.PIDNamespace {
				s.Linux.Namespaces = append(s.Linux.Namespaces[:i], s.Linux.Namespaces[i+1:]...)
				break
			}
		}
	})
	before := n.leavings()
	n.ok("run", "--detach", "--bundle", bundle, "one")
	check.Eventually(t, "container ps", "three processes", func() bool { return strings.Count(n.ok("ps", "--format", "json", "one"), ",") == 2 })
	n.ok("kill", "one", "KILL")
	n.ends("one")
	n.ok("delete", "one")
	check.Eventually(t, "kill and delete", "nothing to be left", func() bool { return n.leavings() == before })
}
