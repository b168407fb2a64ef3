package pod

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"coracle/internal/check"
)

const hooked = `terminationGracePeriodSeconds: 30
initContainers: [{name: s1, image: x, restartPolicy: Always}, {name: s2, image: x, restartPolicy: Always, lifecycle: {preStop: {sleep: {seconds: 5}}}}]
containers: [{name: app, image: x, lifecycle: {stopSignal: SIGUSR1, preStop: {exec: {command: [bye]}}}}, {name: b, image: x}]`

// ending puts a Termination into words: "hook app0; stop b0 30; wake 130".
func ending(t Termination) string {
	var s []string
	for _, id := range t.Hooks {
		s = append(s, "hook "+id)
	}
	for _, c := range t.Stop {
		s = append(s, strings.TrimSpace(fmt.Sprintf("stop %s %v %s", c.ID, c.Grace.Seconds(), c.Signal)))
	}
	if t.Done {
		s = append(s, "done")
	}
	if !t.Wake.IsZero() {
		s = append(s, fmt.Sprintf("wake %.0f", t.Wake.Sub(noon).Seconds()))
	}
	return strings.Join(s, "; ")
}

func TestGrace(t *testing.T) {
	spec := "%scontainers: [{name: a, image: x, livenessProbe: {exec: {command: [x]}, terminationGracePeriodSeconds: 3}, startupProbe: {exec: {command: [x]}}}]"
	for _, c := range []struct {
		spec, reason string
		deletion     int64 // -1: none
		want         time.Duration
	}{
		{"", ReasonPod, -1, 30 * time.Second},
		{"terminationGracePeriodSeconds: 7\n", ReasonPod, -1, 7 * time.Second},
		{"terminationGracePeriodSeconds: 0\n", ReasonPod, -1, 0},
		{"terminationGracePeriodSeconds: 7\n", ReasonLiveness, -1, 3 * time.Second},
		{"terminationGracePeriodSeconds: 7\n", ReasonStartup, -1, 7 * time.Second},
		{"terminationGracePeriodSeconds: 7\n", ReasonChanged, -1, 7 * time.Second},
		{"terminationGracePeriodSeconds: 7\n", ReasonLiveness, 60, time.Minute},
		{"terminationGracePeriodSeconds: 7\n", ReasonPod, 0, 0},
	} {
		pod := manifest(t, fmt.Sprintf(spec, c.spec))
		if c.deletion >= 0 {
			pod.DeletionGracePeriodSeconds = &c.deletion
		}
		check.Equal(t, fmt.Sprintf("Grace for %q, deletion %d, %s", c.reason, c.deletion, strings.TrimSpace(c.spec)), c.want, Grace(pod, &pod.Spec.Containers[0], c.reason),
			check.Often(c.reason == ReasonLiveness && c.deletion < 0, "a probe's own grace period is left out"))
	}
}

func TestTerminate_Order(t *testing.T) {
	told := func(now float64) *world {
		w := seen(now).sandbox(0, true)
		w.Ending = at(100)
		return w
	}
	hook := Stopping{Hook: true}
	over := Stopping{Hook: true, HookDone: true}
	asked := Stopping{Deadline: at(130)}
	both := Stopping{Hook: true, HookDone: true, Deadline: at(130)}
	for _, c := range []struct {
		what  string
		k     *world
		want  string
		often string
	}{
		{"it begins", told(100).has("s1", 0, "running").has("s2", 0, "running").has("app", 0, "running").has("b", 0, "running"), "hook s20; hook app0; stop b0 30; wake 130", "sidecars are asked to exit with the others"},
		{"hooks run", told(101).has("s1", 0, "running").has("s2", 0, "running").has("app", 0, "running").has("b", 0, "running").stop("s20", hook).stop("app0", hook).stop("b0", asked), "wake 130", "a container is asked to exit while its hook runs"},
		{"a hook is over", told(110).has("s1", 0, "running").has("s2", 0, "running").has("app", 0, "running").has("b", 0, "0").stop("s20", over).stop("app0", over), "stop app0 20 SIGUSR1; wake 130", "the grace period begins after the hook"},
		{"the app exited", told(112).has("s1", 0, "running").has("s2", 0, "running").has("app", 0, "0").has("b", 0, "0").stop("s20", over).stop("app0", both), "stop s20 18; wake 130", "sidecars are stopped in the order in which they were started"},
		{"the last sidecar exited", told(113).has("s1", 0, "running").has("s2", 0, "0").has("app", 0, "0").has("b", 0, "0").stop("s20", both).stop("app0", both), "stop s10 17; wake 130", ""},
		{"all exited", told(114).has("s1", 0, "0").has("s2", 0, "0").has("app", 0, "0").has("b", 0, "0"), "done", ""},
		{"there never was anything", told(114), "done", ""},
		{"one is only created", told(100).has("app", 0, "created"), "stop app0 30 SIGUSR1; wake 130", "a hook is run in a container that does not run"},
	} {
		check.Equal(t, "Terminate when "+c.what, c.want, ending(Terminate(manifest(t, hooked), c.k.Known)), check.Often(c.often != "", c.often))
	}
}

func TestTerminate_Deadline(t *testing.T) {
	k := seen(130).sandbox(0, true).has("s1", 0, "running").has("s2", 0, "running").has("app", 0, "running").has("b", 0, "running")
	k.Ending = at(100)
	k.stop("app0", Stopping{Hook: true}).stop("b0", Stopping{Deadline: at(130)})
	check.Equal(t, "Terminate at the deadline", "stop s10 2; stop s20 2; stop app0 2 SIGUSR1", ending(Terminate(manifest(t, hooked), k.Known)),
		check.Often(true, "who waits for a hook or for others waits for ever"))
	k.stop("app0", Stopping{Hook: true, Deadline: at(132)}).stop("s10", Stopping{Deadline: at(132)}).stop("s20", Stopping{Deadline: at(132)})
	k.Now = at(131)
	check.Equal(t, "Terminate when all were asked", "", ending(Terminate(manifest(t, hooked), k.Known)), check.Often(true, "the grace period is renewed with each look"))
}

func TestTerminate_Shortened(t *testing.T) {
	pod := manifest(t, "terminationGracePeriodSeconds: 600\n"+plain)
	k := seen(110).sandbox(0, true).has("a", 0, "running").stop("a0", Stopping{Deadline: at(700)})
	k.Ending = at(100)
	check.Equal(t, "Terminate when it was asked", "wake 700", ending(Terminate(pod, k.Known)))
	five := int64(15)
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: at(115)}, &five
	check.Equal(t, "Terminate when the pod was deleted again with less grace", "stop a0 5; wake 115", ending(Terminate(pod, k.Known)),
		check.Often(true, "one that was asked is not told that it has less time now"))
}
