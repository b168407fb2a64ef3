package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
)

// Exercise 4.10: restart policy and back-off
//
// A program that ends may be done or broken, and the restart policy says which. One
// that is broken and starts again at once takes a whole CPU to fail; so each start
// after a failure waits longer than the one before, and one that then runs well for a
// while has earned a new beginning. The first failure costs nothing: most are chance.
//
//	exit, start at once, exit, wait 10 s, start, exit, wait 20 s, … 40, 80, 160, 300, 300
//
// Kubernetes: pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff),
// client-go/util/flowcontrol/backoff.go; KEP-5307 for a container's own rules.

// A Pace is how a back-off grows.
type Pace struct{ First, Max, Reset time.Duration }

// CrashLoop and ImagePull are the kubelet's: after Reset, twice the longest wait,
// without another failure, everything is forgotten.
var (
	CrashLoop = Pace{10 * time.Second, 5 * time.Minute, 10 * time.Minute}
	ImagePull = CrashLoop
)

// A Backoff is what is remembered between tries. The zero value has seen none.
type Backoff struct {
	Delay time.Duration // how long to wait after the next failure
	Tried time.Time     // when the try was made that set Delay
}

// Next is the back-off to remember when a try is made at now: First after none, or
// when the last is Reset or longer ago, twice as long as before otherwise, at most
// Max. A clock that was set back, so that the last try lies ahead, resets nothing.
func (b Backoff) Next(p Pace, now time.Time) Backoff {
	if b.Delay == 0 || now.Sub(b.Tried) >= p.Reset {
		return Backoff{p.First, now}
	}
	return Backoff{min(2*b.Delay, p.Max), now}
}

// Until is when the next try may be made after a failure at the given time: at once
// (the zero time) after none, or when the last try is Reset or longer ago; else Delay
// after the failure. A failure that lies ahead of now is one of a clock that was set
// back: nobody can say how long ago it was, so the next try may be made at once.
func (b Backoff) Until(p Pace, failed, now time.Time) time.Time {
	if b.Delay == 0 || now.Sub(b.Tried) >= p.Reset || failed.After(now) {
		return time.Time{}
	}
	if until := failed.Add(b.Delay); until.After(now) {
		return until
	}
	return time.Time{}
}

// ShouldRestart says whether a container that exited is to be started again, by, in
// this order, the first of its own rules that holds for the exit code, its own policy,
// and its pod's: Always, OnFailure (an exit code other than 0) or Never, where "" is
// Always. Before all these: an init container (init says that it is one) that ended
// with 0 has done its work and is not started again, unless it is a sidecar.
// Rules with an action other than Restart are not honoured here.
//
//	Never, rule {In [42] Restart}:  42 → true    1 → false    0 → false
func ShouldRestart(pod *corev1.Pod, c *corev1.Container, init bool, exit int) bool {
	if init && !IsSidecar(c) && exit == 0 {
		return false
	}
	for _, r := range c.RestartPolicyRules {
		if r.ExitCodes == nil || r.Action != corev1.ContainerRestartRuleActionRestart {
			continue
		}
		in := slices.Contains(r.ExitCodes.Values, int32(exit))
		if in == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exit != 0
	}
	return true
}

// StartAfter is when a container may be started next: the zero time means now. What
// keeps it are its exit, if it is last, with its Restarts, and a Failure to pull or
// create it, with its Retries; the later one counts.
func (h History) StartAfter(last *driver.ContainerStatus, now time.Time) time.Time {
	var until time.Time
	if last != nil && last.State == driver.Exited && !h.Replace {
		until = h.Restarts.Until(CrashLoop, last.FinishedAt, now)
	}
	if h.Failure != nil {
		if t := h.Retries.Until(ImagePull, h.Failure.At, now); t.After(until) {
			until = t
		}
	}
	return until
}
