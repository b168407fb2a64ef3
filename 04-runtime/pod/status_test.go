package pod

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
	"coracle/internal/check"
)

// table puts a status into words: "Running; app: Running; log: CrashLoopBackOff (last Error 1) x3".
func table(s corev1.PodStatus) string {
	words := []string{strings.TrimSpace(string(s.Phase) + " " + s.Reason)}
	for _, c := range append(append(append([]corev1.ContainerStatus{}, s.InitContainerStatuses...), s.ContainerStatuses...), s.EphemeralContainerStatuses...) {
		w := c.Name + ": "
		switch {
		case c.State.Waiting != nil:
			w += c.State.Waiting.Reason
		case c.State.Running != nil:
			w += "Running"
		case c.State.Terminated != nil:
			w += fmt.Sprintf("%s %d", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		}
		if last := c.LastTerminationState.Terminated; last != nil {
			w += fmt.Sprintf(" (last %s %d)", last.Reason, last.ExitCode)
		}
		if c.RestartCount > 0 {
			w += fmt.Sprintf(" x%d", c.RestartCount)
		}
		if c.Ready {
			w += " ready"
		}
		words = append(words, w)
	}
	return strings.Join(words, "; ")
}

func TestStatus_Words(t *testing.T) {
	never, onFailure := "restartPolicy: Never\n", "restartPolicy: OnFailure\n"
	fail := func(reason string, at_ float64) History {
		return History{Failure: &Failure{reason, "said the registry", at(at_)}, Retries: Backoff{10 * time.Second, at(at_)}}
	}
	oom := box().has("a", 0, "137").history("a", History{})
	oom.Containers[0].OOMKilled = true
	over := box().has("a", 0, "143")
	over.Over = &Over{"DeadlineExceeded", "Pod was active on the node longer than the specified deadline"}
	stopping := box().has("a", 0, "running")
	stopping.Over = over.Over
	start := box().has("a", 0, "128")
	start.Containers[0].Reason = "StartError"
	evicted := box()
	evicted.Over = &Over{"Evicted", "The node was low on resource: memory."}
	for _, c := range []struct {
		what, spec string
		k          *world
		want       string
	}{
		{"nothing was made", plain, seen(100), "Pending; a: ContainerCreating"},
		{"nothing was made, and there are init containers", inits, seen(100), "Pending; i1: PodInitializing; i2: PodInitializing; app: PodInitializing"},
		{"it waits at its barrier", plain, box().has("a", 0, "created"), "Pending; a: ContainerCreating"},
		{"it runs", plain, box().has("a", 0, "running"), "Running; a: Running ready"},
		{"its hook runs", plain, box().has("a", 0, "running").history("a", History{Starting: true}), "Pending; a: ContainerCreating"},
		{"a pull failed", plain, box().history("a", fail(ErrImagePull, 100)), "Pending; a: ErrImagePull"},
		{"a pull failed a moment ago", plain, box().history("a", fail(ErrImagePull, 95)), "Pending; a: ImagePullBackOff"},
		{"the image must not be pulled", plain, box().history("a", fail(ErrImageNeverPull, 95)), "Pending; a: ErrImageNeverPull"},
		{"a configMap is missing", plain, box().history("a", fail(CreateContainerConfigError, 95)), "Pending; a: CreateContainerConfigError"},
		{"the command is missing", plain, start.history("a", fail(RunContainerError, 100)), "Running; a: RunContainerError (last StartError 128)"},
		{"it exited with 0 and may start at once", plain, box().has("a", 0, "0"), "Running; a: Completed 0"},
		{"it failed, and failed before", plain, box().has("a", 1, "1", 90).has("a", 2, "2", 95).history("a", History{Restarts: Backoff{20 * time.Second, at(90)}}), "Running; a: CrashLoopBackOff (last Error 2) x2"},
		{"it runs, and failed before", plain, box().has("a", 1, "1", 90).has("a", 2, "running"), "Running; a: Running (last Error 1) x2 ready"},
		{"it was too large", plain, oom, "Running; a: OOMKilled 137"},
		{"it succeeded in a pod of Never", never + plain, box().has("a", 0, "0"), "Succeeded; a: Completed 0"},
		{"it failed in a pod of Never", never + plain, box().has("a", 0, "3"), "Failed; a: Error 3"},
		{"one of two failed in a pod of Never, the other runs", never + two, box().has("a", 0, "3").has("b", 0, "running"), "Running; a: Error 3; b: Running ready"},
		{"one of two failed in a pod of OnFailure", onFailure + two, box().has("a", 0, "3").has("b", 0, "0"), "Running; a: Error 3; b: Completed 0"},
		{"one runs, the image of the other is not there", two, box().has("a", 0, "running").history("b", fail(ErrImagePull, 95)), "Pending; a: Running ready; b: ImagePullBackOff"},
		{"the init containers run again in a new sandbox", inits, seen(100).sandbox(0, false).has("i1", 0, "0").has("i2", 0, "0").has("app", 0, "137").sandbox(1, true).has("i1", 1, "running"), "Pending; i1: Running (last Completed 0) x1; i2: Completed 0 ready; app: Error 137"},
		{"one succeeded at its second try in a pod of OnFailure", onFailure + two, box().has("a", 1, "0", 95).has("b", 0, "running").history("a", History{Restarts: Backoff{20 * time.Second, at(90)}}), "Running; a: Completed 0 x1; b: Running ready"},
		{"an init container failed in a pod of Never", never + inits, box().has("i1", 0, "1"), "Failed; i1: Error 1; i2: PodInitializing; app: PodInitializing"},
		{"an init container fails again and again", inits, box().has("i1", 4, "1", 95).history("i1", History{Restarts: Backoff{80 * time.Second, at(90)}}), "Pending; i1: CrashLoopBackOff (last Error 1) x4; i2: PodInitializing; app: PodInitializing"},
		{"the second init container runs", inits, box().has("i1", 0, "0").has("i2", 0, "running"), "Pending; i1: Completed 0 ready; i2: Running; app: PodInitializing"},
		{"all did their work but a sidecar", never + sidecars, box().has("i1", 0, "0").has("s1", 0, "running").probes("s10", probe.Results{Startup: probe.Success}).has("i2", 0, "0").has("s2", 0, "running").has("app", 0, "0"),
			"Running; i1: Completed 0 ready; s1: Running ready; i2: Completed 0 ready; s2: Running ready; app: Completed 0"},
		{"the app waits to start again and a sidecar just did", "initContainers: [{name: s, image: x, restartPolicy: Always, startupProbe: {exec: {command: [x]}}}]\n" + plain,
			box().has("s", 1, "running").has("a", 1, "1", 95).history("a", History{Restarts: Backoff{10 * time.Second, at(90)}}), "Running; s: Running x1; a: CrashLoopBackOff (last Error 1) x1"},
		{"its deadline has passed and it still runs", plain, stopping, "Running DeadlineExceeded; a: Running ready"},
		{"its deadline has passed", plain, over, "Failed DeadlineExceeded; a: Error 143"},
		{"it was evicted before it began", plain, evicted, "Failed Evicted; a: ContainerCreating"},
		{"nobody knows what became of it", plain, box().has("a", 0, "unknown"), "Running; a: ContainerStatusUnknown 137"},
	} {
		check.Equal(t, "the status when "+c.what, c.want, table(Status(manifest(t, c.spec), c.k.Known, "coracle")))
	}
}

func TestStatus_Messages(t *testing.T) {
	pull := box().history("a", History{Failure: &Failure{ErrImagePull, "registry.example/x:1: not found", at(95)}, Retries: Backoff{10 * time.Second, at(95)}})
	crash := box().has("a", 1, "1", 95).history("a", History{Restarts: Backoff{40 * time.Second, at(90)}})
	for want, k := range map[string]*world{
		`Back-off pulling image "x": ErrImagePull: registry.example/x:1: not found`: pull,
		`back-off 40s restarting failed container=a pod=web_shop(u-1)`:              crash,
	} {
		s := Status(manifest(t, plain), k.Known, "coracle")
		check.Equal(t, "the message", want, s.ContainerStatuses[0].State.Waiting.Message)
	}
}

// The API's own form, as kubectl get -o json shows it.
func TestStatus_Fields(t *testing.T) {
	pod := manifest(t, "containers: [{name: a, image: 'img:1', resources: {requests: {cpu: 100m}}, volumeMounts: [{name: v, mountPath: /v, readOnly: true, recursiveReadOnly: IfPossible}], readinessProbe: {exec: {command: [x]}}}]\nvolumes: [{name: v}]")
	k := box().has("a", 2, "running")
	k.Images = map[string]driver.Image{"sha256:abc": {ID: "sha256:abc", Digests: []string{"reg/img@sha256:def"}}}
	k.HostIPs = []string{"192.0.2.7", "2001:db8::7"}
	s := Status(pod, k.Known, "coracle")
	s.Conditions, s.StartTime = nil, nil
	got, err := json.MarshalIndent(s, "", " ")
	check.NoError(t, "marshal", err)
	check.Equal(t, "the status", `{
 "observedGeneration": 3,
 "phase": "Running",
 "hostIP": "192.0.2.7",
 "hostIPs": [
  {
   "ip": "192.0.2.7"
  },
  {
   "ip": "2001:db8::7"
  }
 ],
 "podIP": "10.0.0.2",
 "podIPs": [
  {
   "ip": "10.0.0.2"
  }
 ],
 "containerStatuses": [
  {
   "name": "a",
   "state": {
    "running": {
     "startedAt": "2026-01-02T12:00:00Z"
    }
   },
   "lastState": {},
   "ready": false,
   "restartCount": 2,
   "image": "img:1",
   "imageID": "reg/img@sha256:def",
   "containerID": "coracle://a2",
   "started": true,
   "allocatedResources": {
    "cpu": "100m"
   },
   "resources": {
    "requests": {
     "cpu": "100m"
    }
   },
   "volumeMounts": [
    {
     "name": "v",
     "mountPath": "/v",
     "readOnly": true,
     "recursiveReadOnly": "Enabled"
    }
   ]
  }
 ],
 "qosClass": "Burstable"
}`, string(got))
	pod = manifest(t, "hostNetwork: true\n"+plain)
	s = Status(pod, k.Known, "coracle")
	check.Equal(t, "addresses with the host's network", fmt.Sprint([]corev1.PodIP{{IP: "192.0.2.7"}, {IP: "2001:db8::7"}}), fmt.Sprint(s.PodIPs))
}

func TestStatus_Conditions(t *testing.T) {
	put := func(s corev1.PodStatus) string {
		var all []string
		for _, c := range s.Conditions {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason)))
		}
		return strings.Join(all, "; ")
	}
	gated := "readinessGates: [{conditionType: example.com/balanced}]\n" + plain
	ready := box().has("a", 0, "running")
	for _, c := range []struct {
		what, spec string
		k          *world
		want       string
	}{
		{"nothing was made", inits, seen(100), "PodReadyToStartContainers=False; Initialized=False ContainersNotInitialized; Ready=False ContainersNotReady; ContainersReady=False ContainersNotReady; PodScheduled=True"},
		{"all runs", plain, ready, "PodReadyToStartContainers=True; Initialized=True; Ready=True; ContainersReady=True; PodScheduled=True"},
		{"a gate is shut", gated, ready, "PodReadyToStartContainers=True; Initialized=True; Ready=False ReadinessGatesNotReady; ContainersReady=True; PodScheduled=True"},
		{"all is done", "restartPolicy: Never\n" + inits, box().has("i1", 0, "0").has("i2", 0, "0").has("app", 0, "0"),
			"PodReadyToStartContainers=False; Initialized=True PodCompleted; Ready=False PodCompleted; ContainersReady=False PodCompleted; PodScheduled=True"},
		{"it failed", "restartPolicy: Never\n" + plain, box().has("a", 0, "1"), "PodReadyToStartContainers=False; Initialized=True; Ready=False PodFailed; ContainersReady=False PodFailed; PodScheduled=True"},
	} {
		check.Equal(t, "conditions when "+c.what, c.want, put(Status(manifest(t, c.spec), c.k.Known, "coracle")))
	}

	pod := manifest(t, gated) // and later on
	pod.Status = Status(pod, ready.Known, "coracle")
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/balanced", Status: corev1.ConditionTrue})
	ready.Now = at(200)
	s := Status(pod, ready.Known, "coracle")
	check.Equal(t, "Ready turned when the gate opened", metav1.Time{Time: at(200)}, condition(&s, corev1.PodReady).LastTransitionTime)
	check.Equal(t, "ContainersReady did not", metav1.Time{Time: at(100)}, condition(&s, corev1.ContainersReady).LastTransitionTime,
		check.Often(true, "a condition's time is when it was looked at last"))
	check.Equal(t, "startTime", at(100), s.StartTime.Time)
	check.True(t, "the condition of another", condition(&s, "example.com/balanced") != nil, "gone", "kept")
}

// A container that the runtime lost: the status says what was known of it.
func TestStatus_Gone(t *testing.T) {
	pod := manifest(t, plain)
	pod.Status = Status(pod, box().has("a", 3, "running").Known, "coracle")
	s := Status(pod, box().Known, "coracle")
	check.Equal(t, "one that ran", "Running; a: ContainerStatusUnknown 137 x3", table(s))
	pod.Status = Status(pod, box().has("a", 3, "2").Known, "coracle")
	s = Status(pod, box().Known, "coracle")
	check.Equal(t, "one that had ended", "Running; a: Error 2 x3", table(s))
	pod.Status = s
	s = Status(pod, box().has("a", 4, "running").Known, "coracle")
	check.Equal(t, "the next of the name", "Running; a: Running (last Error 2) x4 ready", table(s))
}
