package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
)

// Exercise 4.13: termination
//
// A pod that is to end is asked to, container by container, within one grace period
// that began when it was told: preStop hooks, sidecars that wait for their turn and
// the time to react to SIGTERM all come out of the same thirty seconds. What runs
// after them is killed. As in Decide, nothing is remembered here: Terminate is called
// again whenever a hook or a container has ended, or at Wake.
//
//	told           hook over     exited            deadline
//	 ├── preStop ──┤── SIGTERM ────┤                  │
//	 ├──── the sidecar waits ──────┤── SIGTERM ───────┤ SIGKILL
//
// Kubernetes: pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer,
// setTerminationGracePeriod), termination_order.go.

// Stopping is how far the agent has come with one container's end.
type Stopping struct {
	Hook     bool      // its preStop hook was begun
	HookDone bool      // and is over, well or badly
	Deadline time.Time // until when it was last given time by a Stop; zero: not asked yet
}

// A Stop asks a container to exit (Driver.Stop). Asked is what to remember as its
// Stopping.Deadline.
type Stop struct {
	ID, Name string
	Signal   string // "": the image's
	Grace    time.Duration
	Asked    time.Time
}

// A Termination is what to do now for a pod that ends.
type Termination struct {
	Hooks []string  // IDs of the containers whose preStop hook begins now
	Stop  []Stop    // to be asked to exit now
	Done  bool      // nothing runs any more: the sandbox can go
	Wake  time.Time // call again then at the latest; zero with Done
}

// MinGrace is what a container gets however late it is, so that a signal can be seen.
const MinGrace = 2 * time.Second

// Grace is how long a container has from the moment it is told to end, and why:
// metadata.deletionGracePeriodSeconds if the pod is being deleted; else, for a failed
// probe (ReasonStartup, ReasonLiveness), the probe's own terminationGracePeriodSeconds;
// else the pod's; else DefaultGrace. Less than 0 is 1 s, as the API has it.
func Grace(pod *corev1.Pod, c *corev1.Container, reason string) time.Duration {
	seconds := pod.Spec.TerminationGracePeriodSeconds
	var probe *corev1.Probe
	switch {
	case c == nil:
	case reason == ReasonStartup:
		probe = c.StartupProbe
	case reason == ReasonLiveness:
		probe = c.LivenessProbe
	}
	if probe != nil && probe.TerminationGracePeriodSeconds != nil {
		seconds = probe.TerminationGracePeriodSeconds
	}
	if pod.DeletionGracePeriodSeconds != nil {
		seconds = pod.DeletionGracePeriodSeconds
	}
	switch {
	case seconds == nil:
		return DefaultGrace
	case *seconds < 0:
		return time.Second
	}
	return time.Duration(*seconds) * time.Second
}

// Terminate says what to do now for a pod that is being ended since k.Ending. The
// deadline is Grace after that, and may have been moved since by a second deletion.
//
//   - preStop hooks of running containers begin at once, all of them, each once, unless
//     the deadline has passed;
//   - a container is asked to exit when it has no hook, or its hook is over, and all
//     alive ones before it in StopOrder have exited; at the deadline nobody waits any more;
//   - its Grace is what is left until the deadline, never less than MinGrace;
//   - one that was asked is asked again only if its Deadline is later than it would be now;
//   - containers that the pod does not name (any more) belong to the first to go.
func Terminate(pod *corev1.Pod, k Known) Termination {
	t := Termination{Done: true}
	deadline := k.Ending.Add(Grace(pod, nil, ReasonPod))
	late := !k.Now.Before(deadline)
	turn := map[string]int{}
	for i, names := range StopOrder(pod) {
		for _, name := range names {
			turn[name] = i
		}
	}
	first := len(turn)
	for _, c := range k.Containers {
		if Alive(c) {
			first = min(first, turn[c.Name])
		}
	}
	for _, c := range k.Containers {
		if !Alive(c) {
			continue
		}
		t.Done = false
		s, hook, signal := k.Stops[c.ID], false, ""
		if spec := Find(pod, c.Name); spec != nil && spec.Lifecycle != nil {
			hook = spec.Lifecycle.PreStop != nil && c.State == driver.Running
			if spec.Lifecycle.StopSignal != nil {
				signal = string(*spec.Lifecycle.StopSignal)
			}
		}
		if hook && !s.Hook && !late {
			t.Hooks = append(t.Hooks, c.ID)
		}
		asked := deadline
		if at := k.Now.Add(MinGrace); at.After(asked) {
			asked = at
		}
		waits := (hook && !s.HookDone) || turn[c.Name] > first
		if (waits && !late) || (!s.Deadline.IsZero() && !asked.Before(s.Deadline)) {
			continue
		}
		t.Stop = append(t.Stop, Stop{c.ID, c.Name, signal, asked.Sub(k.Now), asked})
	}
	if !t.Done && !late {
		t.Wake = deadline
	}
	return t
}
