package pod

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
	"coracle/internal/check"
)

// noon is when everything begins.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

// manifest reads a pod's spec; every container has an image unless it says one.
func manifest(t testing.TB, spec string) *corev1.Pod {
	t.Helper()
	spec = strings.ReplaceAll(spec, "\t", "  ")
	m, err := Decode([]byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, uid: u-1, generation: 3}\nspec:\n  " +
		strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")))
	check.NoError(t, "read the manifest", err)
	return m.Pods[0]
}

// a world is what a test says of a pod, in few words.
type world struct{ Known }

func seen(seconds float64) *world {
	return &world{Known{Now: at(seconds), Probes: map[string]probe.Results{}, Histories: map[string]History{}, Stops: map[string]Stopping{}, HostIPs: []string{"192.0.2.7"}}}
}

func (w *world) sandbox(attempt int, ready bool) *world {
	w.Sandboxes = append(w.Sandboxes, driver.SandboxStatus{ID: fmt.Sprintf("sandbox%d", attempt), Attempt: attempt, Ready: ready, IPs: []string{"10.0.0.2"}})
	return w
}

// has adds a container to the newest sandbox: "running", "created", "unknown", or its
// exit code, "0". Its ID is name and attempt: "web0".
func (w *world) has(name string, attempt int, state string, finished ...float64) *world {
	c := driver.ContainerStatus{ID: fmt.Sprint(name, attempt), Name: name, Attempt: attempt, Sandbox: w.Sandboxes[len(w.Sandboxes)-1].ID,
		State: driver.State(state), StartedAt: noon, ImageID: "sha256:abc"}
	if _, err := fmt.Sscan(state, &c.ExitCode); err == nil {
		c.State, c.FinishedAt = driver.Exited, w.Now
		if len(finished) > 0 {
			c.FinishedAt = at(finished[0])
		}
	}
	w.Containers = append(w.Containers, c)
	return w
}

func (w *world) history(name string, h History) *world {
	w.Histories[name] = h
	return w
}

func (w *world) probes(id string, r probe.Results) *world {
	w.Probes[id] = r
	return w
}

// words puts actions into words: "create sandbox; kill web0 LivenessProbe; start web#1; wake 10".
func words(a Actions) string {
	var s []string
	for _, id := range a.StopSandboxes {
		s = append(s, "stop "+id)
	}
	if a.CreateSandbox {
		s = append(s, "create sandbox")
	}
	for _, k := range a.Kill {
		s = append(s, strings.TrimSpace("kill "+k.ID+" "+k.Reason))
	}
	for _, c := range a.Start {
		s = append(s, fmt.Sprintf("start %s#%d", c.Name, c.Attempt))
	}
	if a.Finish != nil {
		s = append(s, strings.TrimSpace("finish "+a.Finish.Reason))
	}
	if !a.Wake.IsZero() {
		s = append(s, fmt.Sprintf("wake %.0f", a.Wake.Sub(noon).Seconds()))
	}
	return strings.Join(s, "; ")
}

func (w *world) stop(id string, s Stopping) *world {
	w.Stops[id] = s
	return w
}
