package pod

import (
	"fmt"
	"strings"
	"testing"

	"coracle/04-runtime/pod/probe"
	"coracle/internal/check"
)

const inits = `initContainers: [{name: i1, image: x}, {name: i2, image: x}]
containers: [{name: app, image: x}]`

const sidecars = `initContainers:
- {name: i1, image: x}
- {name: s1, image: x, restartPolicy: Always, startupProbe: {exec: {command: [up]}}, livenessProbe: {exec: {command: [live]}}}
- {name: i2, image: x}
- {name: s2, image: x, restartPolicy: Always}
containers: [{name: app, image: x}]`

// step puts an InitStep into words: "start i1; kill s10 Unknown; done".
func step(s InitStep) string {
	var all []string
	for _, name := range s.Start {
		all = append(all, "start "+name)
	}
	for _, k := range s.Kill {
		all = append(all, "kill "+k.ID+" "+k.Reason)
	}
	if s.Failed != "" {
		all = append(all, "failed "+s.Failed)
	}
	if s.Done {
		all = append(all, "done")
	}
	return strings.Join(all, "; ")
}

type initCase struct {
	what, spec string
	k          *world
	want       string
	often      string
}

func tryInits(t *testing.T, cases []initCase) {
	t.Helper()
	for _, c := range cases {
		check.Equal(t, "Initialize when "+c.what, c.want, step(Initialize(manifest(t, c.spec), c.k.Known)), check.Often(c.often != "", c.often))
	}
}

func box() *world { return seen(100).sandbox(0, true) }

func TestInitialize_InOrder(t *testing.T) {
	tryInits(t, []initCase{
		{"nothing ran", inits, box(), "start i1", "all init containers are started at once"},
		{"the first runs", inits, box().has("i1", 0, "running"), "", ""},
		{"the first is done", inits, box().has("i1", 0, "0"), "start i2", ""},
		{"the second runs", inits, box().has("i1", 0, "0").has("i2", 0, "running"), "", ""},
		{"both are done", inits, box().has("i1", 0, "0").has("i2", 0, "0"), "done", ""},
		{"both are done in a sandbox that is gone", inits, seen(100).sandbox(0, false).has("i1", 0, "0").has("i2", 0, "0").sandbox(1, true), "start i1", "what ran in another sandbox counts"},
		{"they were removed while the app runs", inits, box().has("app", 0, "running"), "done", "init containers run again beside the container they prepared"},
		{"the first was removed", inits, box().has("i2", 0, "running"), "", "an init container that was collected runs again"},
		{"there are none", plain, box(), "done", ""},
	})
}

func TestInitialize_Failures(t *testing.T) {
	failed := func() *world { return box().has("i1", 0, "1") }
	tryInits(t, []initCase{
		{"one failed in a pod of Always", inits, failed(), "start i1", "one that failed is taken for done"},
		{"one failed in a pod of OnFailure", "restartPolicy: OnFailure\n" + inits, failed(), "start i1", ""},
		{"one failed in a pod of Never", "restartPolicy: Never\n" + inits, failed(), "failed i1", ""},
		{"the latest of one is well", inits, failed().has("i1", 1, "0"), "start i2", ""},
		{"one was replaced in a pod of Never", "restartPolicy: Never\n" + inits, box().has("i1", 0, "137").history("i1", History{Replace: true}), "start i1", ""},
		{"one was created and no more", inits, box().has("i1", 0, "created"), "kill i10 Unknown", ""},
		{"one is unknown", inits, box().has("i1", 0, "unknown"), "kill i10 Unknown", "one that may run is started a second time"},
	})
}

func TestInitialize_Sidecars(t *testing.T) {
	up := probe.Results{Startup: probe.Success}
	first := func() *world { return box().has("i1", 0, "0") }
	all := func() *world {
		return first().has("s1", 0, "running").probes("s10", up).has("i2", 0, "0").has("s2", 0, "running")
	}
	tryInits(t, []initCase{
		{"a sidecar's startup probe has no verdict", sidecars, first().has("s1", 0, "running"), "", "a sidecar counts as up as soon as it runs"},
		{"a sidecar is up", sidecars, first().has("s1", 0, "running").probes("s10", up), "start i2", "the next waits for a sidecar to end"},
		{"a sidecar is up, its postStart hook not over", sidecars, first().has("s1", 0, "running").probes("s10", up).history("s1", History{Starting: true}), "", ""},
		{"a sidecar is up and not live", sidecars, first().has("s1", 0, "running").probes("s10", probe.Results{Startup: probe.Success, Liveness: probe.Failure}), "start i2; kill s10 LivenessProbe", ""},
		{"a sidecar failed its startup probe", sidecars, first().has("s1", 0, "running").probes("s10", probe.Results{Startup: probe.Failure}), "kill s10 StartupProbe", ""},
		{"a sidecar exited with 0 before it was up", sidecars, first().has("s1", 0, "0"), "start s1", "a sidecar that exits is done"},
		{"one without a probe runs, the last", sidecars, all(), "done", ""},
	})
}

func TestInitialize_KeepsSidecarsUp(t *testing.T) {
	up := probe.Results{Startup: probe.Success}
	later := func(s1 string) *world {
		return box().has("i1", 0, "0").has("s1", 0, s1).has("i2", 0, "running")
	}
	tryInits(t, []initCase{
		{"a sidecar exits while the next one runs", sidecars, later("1"), "start s1", ""},
		{"a sidecar exits and the next is done", sidecars, box().has("i1", 0, "0").has("s1", 0, "1").has("i2", 0, "0"), "start s1; start s2", "one that was up once is waited for again"},
		{"a sidecar exits in a pod of Never", "restartPolicy: Never\n" + sidecars, later("1"), "start s1", ""},
		{"a sidecar exits while the app runs", sidecars, box().has("s1", 1, "0").has("s2", 0, "running").has("app", 0, "running"), "start s1; done", "sidecars are not restarted once the pod is initialized"},
		{"one exited and one was removed while the app runs", sidecars, box().has("s1", 1, "1").has("app", 0, "running"), "start s1; start s2; done", ""},
		{"a sidecar was removed while the app runs", sidecars, box().has("s1", 1, "running").probes("s11", up).has("app", 0, "running"), "start s2; done", ""},
	})
}

func TestInitialize_Decides(t *testing.T) {
	never, debug := "restartPolicy: Never\n", "\nephemeralContainers: [{name: debug, image: x}]"
	decide(t, []decision{
		{"the first init container is to start", inits, box(), "start i1#0", "the app does not wait for its init containers"},
		{"the last one is done", inits, box().has("i1", 0, "0").has("i2", 1, "0"), "start app#0", ""},
		{"one failed for good", never + inits, box().has("i1", 0, "1"), "finish", ""},
		{"one runs, and an ephemeral container is new", inits + debug, box().has("i1", 0, "running"), "start debug#0", ""},
		{"the app ended and a sidecar exited", never + sidecars, box().has("i1", 0, "0").has("s1", 0, "1").has("i2", 0, "0").has("s2", 0, "running").has("app", 0, "0"), "finish", "sidecars keep a pod alive that is over"},
	})
}

func TestStopOrder(t *testing.T) {
	for spec, want := range map[string]string{
		plain:    "[[a]]",
		inits:    "[[i1 i2 app]]",
		sidecars: "[[i1 i2 app] [s2] [s1]]",
	} {
		check.Equal(t, "StopOrder of "+spec, want, fmt.Sprint(StopOrder(manifest(t, spec))),
			check.Often(spec == sidecars, "sidecars are stopped in the order in which they were started"))
	}
}
