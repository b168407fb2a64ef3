package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
)

// logs is a hook that appends to DIR/log what its name, mount namespace and input are.
func logs(dir, kind string) []specs.Hook {
	script := fmt.Sprintf(`read state; echo "%s $(readlink /proc/self/ns/mnt) $A $state" >> %s/log`, kind, dir)
	return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin", "A=" + kind}}}
}

func hooks(dir string) *specs.Hooks {
	return &specs.Hooks{
		Prestart: logs(dir, "prestart"), CreateRuntime: logs(dir, "createRuntime"), CreateContainer: logs(dir, "createContainer"), //nolint:staticcheck
		StartContainer: logs("/mnt", "startContainer"), Poststart: logs(dir, "poststart"), Poststop: logs(dir, "poststop"),
	}
}

// Each kind of hook, in the order of the lifecycle, in its namespaces, with the state
// on its input and no environment but its own.
func TestHooks_Order(t *testing.T) {
	n := newNode(t)
	dir := t.TempDir()
	bundle := n.bundle(`sleep 1000`, func(s *specs.Spec) {
		s.Hooks = hooks(dir)
		s.Annotations = map[string]string{"a": "b"}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: dir, Options: []string{"bind"}})
	})
	n.ok("create", "--bundle", bundle, "one")
	var s specs.State
	check.NoError(t, "read its state", json.Unmarshal([]byte(n.ok("state", "one")), &s))
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", s.Pid))
	check.NoError(t, "read its namespace", err)
	ours, err := os.Readlink("/proc/self/ns/mnt")
	check.NoError(t, "read our namespace", err)
	n.ok("start", "one")
	n.ok("delete", "--force", "one")

	text, _ := os.ReadFile(dir + "/log")
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := []struct{ kind, ns, status string }{
		{"prestart", ours, "creating"}, {"createRuntime", ours, "creating"}, {"createContainer", theirs, "creating"},
		{"startContainer", theirs, "created"}, {"poststart", ours, "running"}, {"poststop", ours, "stopped"},
	}
	check.Equal(t, "how many hooks ran:\n"+string(text), len(want), len(lines))
	for i, w := range want {
		f := strings.SplitN(lines[i], " ", 4)
		check.Equal(t, "hook "+fmt.Sprint(i), w.kind+" "+w.ns+" "+w.kind, strings.Join(f[:3], " "))
		var got specs.State
		check.NoError(t, w.kind+": read the state", json.Unmarshal([]byte(f[3]), &got))
		state := specs.State{Version: specs.Version, ID: "one", Status: specs.ContainerState(w.status), Bundle: bundle, Annotations: map[string]string{"a": "b"}, Pid: s.Pid}
		if w.status == "stopped" {
			state.Pid = 0
		}
		check.Equal(t, "the state that "+w.kind+" reads", state, got)
	}
}

// What becomes of the container when a hook fails, and that nothing is left.
func TestHooks_Failing(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		kind    string
		set     func(*specs.Hooks, []specs.Hook)
		creates bool // create works all the same
		starts  bool // and start
	}{
		{"prestart", func(h *specs.Hooks, f []specs.Hook) { h.Prestart = append(h.Prestart, f...) }, false, false}, //nolint:staticcheck
		{"createRuntime", func(h *specs.Hooks, f []specs.Hook) { h.CreateRuntime = append(h.CreateRuntime, f...) }, false, false},
		{"createContainer", func(h *specs.Hooks, f []specs.Hook) { h.CreateContainer = append(h.CreateContainer, f...) }, false, false},
		{"startContainer", func(h *specs.Hooks, f []specs.Hook) { h.StartContainer = append(h.StartContainer, f...) }, true, false},
		{"poststart", func(h *specs.Hooks, f []specs.Hook) { h.Poststart = append(f, h.Poststart...) }, true, true},
		{"poststop", func(h *specs.Hooks, f []specs.Hook) { h.Poststop = append(f, h.Poststop...) }, true, true},
	} {
		dir, before := t.TempDir(), n.leavings()
		bundle := n.bundle("sleep 1000", func(s *specs.Spec) {
			s.Hooks = hooks(dir)
			c.set(s.Hooks, []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo broken >&2; exit 3"}}})
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: dir, Options: []string{"bind"}})
		})
		create := []string{"create", "--bundle", bundle, "one"}
		words := []string{c.kind + " hook", "broken", "exit status 3"}
		if !c.creates {
			n.fails(words, create...)
		} else {
			n.ok(create...)
			if c.starts {
				n.ok("start", "one")
				check.Equal(t, "the status with a failing "+c.kind+" hook", "running", n.status("one"))
			} else {
				n.fails(words, "start", "one")
				n.ends("one")
			}
			n.ok("delete", "--force", "one")
		}
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		check.True(t, "the poststop hook after a failing "+c.kind+" hook", strings.Contains(string(text), "poststop"), string(text), "run")
		check.Eventually(t, "a failing "+c.kind+" hook", "nothing to be left of it", func() bool { return n.leavings() == before })
	}
}

func TestHooks_Timeout(t *testing.T) {
	n := newNode(t)
	one := 1
	bundle := n.bundle("true", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 100"}, Env: []string{"PATH=/bin:/usr/bin"}, Timeout: &one}}}
	})
	n.fails([]string{"createRuntime hook 0", "timeout of 1s"}, "create", "--bundle", bundle, "one")
}
