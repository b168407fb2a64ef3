package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"coracle/04-runtime/pod/probe"
	"coracle/internal/check"
)

const two = "containers: [{name: a, image: x}, {name: b, image: x}]"

type decision struct {
	what, spec string
	k          *world
	want       string
	often      string
}

func decide(t *testing.T, cases []decision) {
	t.Helper()
	for _, c := range cases {
		check.Equal(t, "Decide when "+c.what, c.want, words(Decide(manifest(t, c.spec), c.k.Known)), check.Often(c.often != "", c.often))
	}
}

func TestDecide_Sandbox(t *testing.T) {
	never := "restartPolicy: Never\n"
	onFailure := "restartPolicy: OnFailure\n"
	failed := History{Failure: &Failure{At: at(95)}, Retries: Backoff{Delay: 10 * time.Second, Tried: at(95)}}
	missing := seen(100)
	missing.Volumes = "configmap \"c\" not found"
	lacking := box().has("a", 0, "1").has("b", 0, "running")
	lacking.Volumes = missing.Volumes
	decide(t, []decision{
		{"there is nothing", two, seen(100), "create sandbox", "containers are started that have no sandbox yet"},
		{"a volume is missing", two, missing, "", ""},
		{"it failed a moment ago", two, seen(100).history(SandboxHistory, failed), "wake 105", ""},
		{"a volume is missing of a pod that restarts", two, lacking, "", ""},
		{"it failed a while ago", two, seen(106).history(SandboxHistory, failed), "create sandbox", ""},
		{"it is there", two, box(), "start a#0; start b#0", ""},
		{"it is gone and so are its containers", two, seen(100).sandbox(0, false).has("a", 0, "137").has("b", 0, "137"), "stop sandbox0; create sandbox", "what is half made keeps its address"},
		{"it is gone and a container lives on", two, seen(100).sandbox(0, false).has("a", 0, "running").has("b", 0, "137"), "kill a0 Stray", "a new sandbox while something runs in the old one"},
		{"a container runs in the one before", two, seen(100).sandbox(0, false).has("a", 0, "running").sandbox(1, true).has("b", 0, "running"), "kill a0 Stray", ""},
		{"two of a name run", two, box().has("a", 0, "running").has("a", 1, "running").has("b", 0, "running"), "kill a0 Stray", ""},
		{"two are ready", two, seen(100).sandbox(0, true).sandbox(1, true), "stop sandbox0", ""},
		{"it is gone in a pod of Never", never + two, seen(100).sandbox(0, false).has("a", 0, "137"), "finish", "a pod of Never begins anew"},
		{"it is gone in a pod of Never before anything ran", never + two, seen(100).sandbox(0, false), "stop sandbox0; create sandbox", ""},
		{"it is gone and all have succeeded", onFailure + two, seen(100).sandbox(0, false).has("a", 0, "0").has("b", 0, "0"), "finish", "a sandbox is made in which nothing is to run"},
		{"it is new and one had succeeded before", onFailure + two, seen(100).sandbox(0, false).has("a", 0, "0").has("b", 0, "1").sandbox(1, true), "start b#1", ""},
	})
}

func TestDecide_Containers(t *testing.T) {
	changed := box().has("a", 0, "running").has("b", 0, "running")
	changed.Containers[0].Annotations = map[string]string{AnnotationHash: "of another image"}
	same := box().has("a", 0, "running").has("b", 0, "running")
	same.Containers[0].Annotations = map[string]string{AnnotationHash: Hash(&corev1.Container{Name: "a", Image: "x"})}
	decide(t, []decision{
		{"both run", two, same, "", "what runs is started again"},
		{"one exited", two, box().has("a", 0, "0").has("b", 0, "running"), "start a#1", ""},
		{"an older one of the name exited", two, box().has("a", 0, "1").has("a", 1, "running").has("b", 0, "running"), "", "the first container of a name is looked at, not the latest"},
		{"one succeeded in a pod of OnFailure", "restartPolicy: OnFailure\n" + two, box().has("a", 0, "0").has("b", 0, "running"), "", ""},
		{"one failed in a pod of Never", "restartPolicy: Never\n" + two, box().has("a", 0, "1").has("b", 0, "running"), "", "one that failed takes the others along"},
		{"both ended in a pod of Never", "restartPolicy: Never\n" + two, box().has("a", 0, "1").has("b", 0, "0"), "finish", "nobody says that the pod is over"},
		{"one was created and no more", two, box().has("a", 0, "created").has("b", 0, "running"), "kill a0 Unknown", "one that may run is started a second time"},
		{"one is unknown", two, box().has("a", 0, "unknown").has("b", 0, "running"), "kill a0 Unknown", "one that may run is started a second time"},
		{"the image of one changed", two, changed, "kill a0 Changed", ""},
		{"one was killed to be replaced, in a pod of Never", "restartPolicy: Never\n" + two, box().has("a", 0, "137").has("b", 0, "0").history("a", History{Replace: true}), "start a#1", ""},
	})
}

func TestDecide_Probes(t *testing.T) {
	both := func() *world { return box().has("a", 0, "running").has("b", 0, "running") }
	decide(t, []decision{
		{"one is not live", two, both().probes("a0", probe.Results{Liveness: probe.Failure}), "kill a0 LivenessProbe", "the container is started before the old one is gone"},
		{"one did not start up", two, both().probes("b0", probe.Results{Startup: probe.Failure}), "kill b0 StartupProbe", ""},
		{"one is not ready", two, both().probes("a0", probe.Results{Readiness: probe.Failure}), "", "readiness is taken for liveness"},
		{"the one before was not live", two, box().has("a", 0, "137").has("a", 1, "running").has("b", 0, "running").probes("a0", probe.Results{Liveness: probe.Failure}), "", ""},
	})
	k := both().probes("a0", probe.Results{Liveness: probe.Failure})
	for policy, want := range map[string]string{"Always": "Container a failed liveness probe, will be restarted", "Never": "Container a failed liveness probe"} {
		check.Equal(t, "the event in a pod of "+policy, want, Decide(manifest(t, "restartPolicy: "+policy+"\n"+two), k.Known).Kill[0].Message)
	}
}

func TestDecide_Time(t *testing.T) {
	deadline := func(t *testing.T, k Known) Actions {
		pod := manifest(t, "activeDeadlineSeconds: 60\n"+two)
		pod.Status.StartTime = &metav1.Time{Time: at(50)}
		return Decide(pod, k)
	}
	crashed := History{Restarts: Backoff{Delay: 20 * time.Second, Tried: at(90)}}
	pulled := History{Retries: Backoff{Delay: 40 * time.Second, Tried: at(90)}, Failure: &Failure{Reason: ErrImagePull, At: at(98)}}
	decide(t, []decision{
		{"one is in back-off", two, box().has("a", 1, "1", 95).has("b", 0, "running").history("a", crashed), "wake 115", "it starts before its back-off is over"},
		{"two are, the nearer one counts", two, box().has("a", 1, "1", 95).history("a", crashed).history("b", pulled), "wake 115", ""},
		{"one is and all others ended", "restartPolicy: OnFailure\n" + two, box().has("a", 1, "1", 95).has("b", 0, "0").history("a", crashed), "wake 115", "a pod that waits is taken for one that is over"},
		{"it was", two, seen(115).sandbox(0, true).has("a", 1, "1", 95).has("b", 0, "running").history("a", crashed), "start a#2", ""},
	})
	running := func(now float64) Known {
		return seen(now).sandbox(0, true).has("a", 0, "running").has("b", 0, "running").Known
	}
	check.Equal(t, "Decide before the deadline", "wake 110", words(deadline(t, running(100))))
	check.Equal(t, "Decide at the deadline", "finish DeadlineExceeded", words(deadline(t, running(110))))
}

func TestDecide_Over(t *testing.T) {
	k := box().has("a", 0, "running").has("b", 0, "1")
	for name, change := range map[string]func(*corev1.Pod, *Known){
		"is being deleted":  func(p *corev1.Pod, _ *Known) { p.DeletionTimestamp = &metav1.Time{Time: noon} },
		"has succeeded":     func(p *corev1.Pod, _ *Known) { p.Status.Phase = corev1.PodSucceeded },
		"has failed":        func(p *corev1.Pod, _ *Known) { p.Status.Phase = corev1.PodFailed },
		"was found so once": func(_ *corev1.Pod, k *Known) { k.Over = &Over{} },
	} {
		pod, k := manifest(t, two), k.Known
		change(pod, &k)
		check.Equal(t, "Decide for a pod that "+name, "finish", words(Decide(pod, k)), check.Often(true, "a pod that is over is kept running"))
	}
}

func TestDecide_Ephemeral(t *testing.T) {
	spec := plain + "\nephemeralContainers: [{name: debug, image: x}]"
	decide(t, []decision{
		{"an ephemeral container is new", spec, box().has("a", 0, "running"), "start debug#0", ""},
		{"it exited", spec, box().has("a", 0, "running").has("debug", 0, "1"), "", "an ephemeral container is restarted"},
		{"all but it ended", "restartPolicy: Never\n" + spec, box().has("a", 0, "0").has("debug", 0, "running"), "finish", "an ephemeral container keeps the pod alive"},
	})
}
