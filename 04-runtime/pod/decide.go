package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
)

// Exercise 4.11: what to do next for a pod
//
// The heart of a node agent is one function without side effects: the pod as it should
// be, what is known of it as it is, the time; out comes what to do now. It is called
// whenever anything may have changed, so it never asks how things came to be as they
// are, and it does one layer at a time: what it leaves out now, it will see again.
//
// Kubernetes: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions),
// pkg/kubelet/container/helpers.go (ShouldContainerBeRestarted).

// Actions are what to do now; but for the first two they do not depend on each other.
// No Actions but Wake: the pod rests.
type Actions struct {
	StopSandboxes []string // to be stopped first, so that they give back their addresses
	CreateSandbox bool
	Kill          []Kill
	Start         []Start
	Finish        *Over     // the pod is over: from now on Terminate has the say; all else is empty
	Wake          time.Time // decide again then, though nothing happens until; zero: never
}

// A Start is a container to create and start, pulling its image if need be.
type Start struct {
	Name    string
	Attempt int // how often it was made before
}

// Decide says what to do now. In this order, the first that applies:
//
//  1. The pod is over: it is being deleted, k.Over is set, its phase is Succeeded or
//     Failed, or spec.activeDeadlineSeconds after status.startTime have passed
//     (Finish with DeadlineExceeded). Until then the deadline is a Wake.
//  2. Something runs outside of k.Sandbox(), or in it though it is not ready, or beside
//     a newer container of its name: the other ready sandboxes are stopped, such
//     containers killed (ReasonStray), and nothing else is done: two of them would share
//     volumes and names.
//  3. No sandbox is ready. If a container is to run in it – one that exited and starts
//     Again, or one that never existed (in a pod of policy Never only if none did) – one is
//     created, once the volumes are there and after the back-off of SandboxHistory,
//     and those before it are stopped: they may be half made. If none is to run, the
//     pod is over.
//  4. Ephemeral containers that never existed start; of init containers, Initialize
//     says what to do. One that Failed is the pod's end. Until it is Done, that is all.
//  5. Each of spec.containers: none ever made → start; exited → start if Again; running
//     → kill if unhealthy; created or unknown → kill, see stuck. If after this none runs,
//     starts, waits to start or is killed, the pod is over.
//
// Nothing starts before its History.StartAfter, which is a Wake instead, or while
// volumes are missing.
func Decide(pod *corev1.Pod, k Known) Actions {
	var a Actions
	over, deadline := refOver(pod, k)
	if over != nil {
		return Actions{Finish: over}
	}
	a.Wake = deadline

	sandbox := k.Sandbox()
	ready := sandbox != nil && sandbox.Ready
	for _, s := range k.Sandboxes {
		if s.Ready && s.ID != sandbox.ID {
			a.StopSandboxes = append(a.StopSandboxes, s.ID)
		}
	}
	for _, c := range k.Containers {
		if Alive(c) && !(ready && c.Sandbox == sandbox.ID && k.Latest(c.Name).ID == c.ID) {
			a.Kill = append(a.Kill, Kill{ID: c.ID, Name: c.Name, Reason: ReasonStray, Message: "Pod sandbox changed, it will be killed and re-created."})
		}
	}
	if len(a.StopSandboxes)+len(a.Kill) > 0 {
		return a
	}

	if !ready {
		if !refAnyToRun(pod, k) {
			return Actions{Finish: &Over{}}
		}
		if t := k.Histories[SandboxHistory].StartAfter(nil, k.Now); !t.IsZero() {
			a.Wake = earlier(a.Wake, t)
		} else if k.Volumes == "" {
			a.CreateSandbox = true
			for _, s := range k.Sandboxes {
				a.StopSandboxes = append(a.StopSandboxes, s.ID)
			}
		}
		return a
	}

	for _, c := range pod.Spec.EphemeralContainers {
		if k.Latest(c.Name) == nil {
			a.refStart(k, c.Name)
		}
	}
	if len(pod.Spec.InitContainers) > 0 {
		s := Initialize(pod, k)
		if s.Failed != "" {
			return Actions{Finish: &Over{}}
		}
		a.Kill = append(a.Kill, s.Kill...)
		for _, name := range s.Start {
			a.refStart(k, name)
		}
		if !s.Done {
			return a
		}
	}
	busy := false
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		have := k.Latest(c.Name)
		switch {
		case have == nil || have.State == driver.Exited:
			if have != nil && !k.Again(pod, c, false, have) {
				continue
			}
			a.refStart(k, c.Name)
		case have.State == driver.Running:
			if kill := unhealthy(pod, c, have, k); kill != nil {
				a.Kill = append(a.Kill, *kill)
			}
		default:
			a.Kill = append(a.Kill, stuck(have))
		}
		busy = true
	}
	if !busy {
		return Actions{Finish: &Over{}}
	}
	return a
}

// refOver says that the pod has ended, or when its deadline will have passed.
func refOver(pod *corev1.Pod, k Known) (*Over, time.Time) {
	switch {
	case k.Over != nil:
		return k.Over, time.Time{}
	case pod.DeletionTimestamp != nil, pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		return &Over{}, time.Time{}
	case pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil:
		return nil, time.Time{}
	}
	deadline := pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
	if k.Now.Before(deadline) {
		return nil, deadline
	}
	return &Over{"DeadlineExceeded", "Pod was active on the node longer than the specified deadline"}, time.Time{}
}

// refAnyToRun says whether a new sandbox would have anything to do.
func refAnyToRun(pod *corev1.Pod, k Known) bool {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		have := k.Latest(c.Name)
		if have == nil && (len(k.Containers) == 0 || pod.Spec.RestartPolicy != corev1.RestartPolicyNever) {
			return true
		}
		if have != nil && k.Again(pod, c, false, have) {
			return true
		}
	}
	return false
}

// refStart starts a container, or sets the alarm for when it may start.
func (a *Actions) refStart(k Known, name string) {
	have := k.Latest(name)
	if t := k.Histories[name].StartAfter(have, k.Now); !t.IsZero() {
		a.Wake = earlier(a.Wake, t)
		return
	}
	if k.Volumes != "" {
		return
	}
	s := Start{Name: name}
	if have != nil {
		s.Attempt = have.Attempt + 1
	}
	a.Start = append(a.Start, s)
}
