package pod

import (
	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
)

// Exercise 4.12: init containers and sidecars
//
// Init containers run one after another, each to its end, before any other container
// of the pod. A sidecar is one that stays (its own restartPolicy is Always): the next
// begins once it is up, it is restarted for as long as the pod lives, and it goes
// last, in reverse order, because what came after it may still need it.
//
//	init 1 ──0─> sidecar 2 ──up─> init 3 ──0─> containers ──exit─> sidecar 2 stops
//
// Kubernetes: pkg/kubelet/kuberuntime/kuberuntime_container.go
// (computeInitContainerActions), termination_order.go; KEP-753.

// An InitStep is how far a pod's init containers have come.
type InitStep struct {
	Start  []string // to be started as soon as their back-off allows
	Kill   []Kill
	Done   bool   // the containers of spec.containers may run
	Failed string // the one that failed for good: with it, the pod
}

// Initialize says what to do for the init containers, by what is known of the pod's
// current sandbox (Known.Current). The last one that exists there is where the pod is:
//
//   - an ordinary one that failed starts again if Known.Again says so, and else has
//     failed the pod: then nothing is started; one that ended with 0 is through;
//   - a sidecar is through once it runs and its startup probe, if it has one, succeeded
//     and its postStart hook is over; readiness and liveness hold up nobody;
//   - when it is through the next one starts, and after the last one all are Done.
//
// Those before it were through once. The ordinary ones are over, even if they were
// removed since. Sidecars are kept up, here as everywhere: one that exited or was
// removed starts again, and nobody waits for it a second time; one that fails its
// startup or liveness probe is killed (see unhealthy). Any that was created but not
// started, or whose state is unknown, is killed (see stuck).
//
// Once a container of spec.containers exists in this sandbox, all init containers were
// through: Done stays true, whatever becomes of the sidecars.
func Initialize(pod *corev1.Pod, k Known) InitStep {
	var s InitStep
	all := pod.Spec.InitContainers
	last := refLast(pod, k)
	through := true // the last one is
	for i := range all[:min(last+2, len(all))] {
		c := &all[i]
		have, sidecar := k.Current(c.Name), IsSidecar(c)
		switch {
		case i < last && !sidecar:
		case have == nil:
			if i < last || through {
				s.Start = append(s.Start, c.Name)
			}
			through = false
		case have.State == driver.Created || have.State == driver.Unknown:
			s.Kill = append(s.Kill, stuck(have))
			through = false
		case have.State == driver.Running:
			if kill := unhealthy(pod, c, have, k); sidecar && kill != nil {
				s.Kill = append(s.Kill, *kill)
			}
			up := c.StartupProbe == nil || k.Probes[have.ID].Startup == probe.Success
			through = sidecar && up && !k.Histories[c.Name].Starting
		case have.ExitCode == 0 && !sidecar:
			through = true
		case k.Again(pod, c, true, have):
			s.Start = append(s.Start, c.Name)
			through = false
		default:
			return InitStep{Failed: c.Name}
		}
	}
	s.Done = through || last == len(all)
	return s
}

// refLast is the index of the last init container that exists in this sandbox, -1 if
// none does, and one more than the last if a container of spec.containers does.
func refLast(pod *corev1.Pod, k Known) int {
	for _, c := range pod.Spec.Containers {
		if k.Current(c.Name) != nil {
			return len(pod.Spec.InitContainers)
		}
	}
	for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
		if k.Current(pod.Spec.InitContainers[i].Name) != nil {
			return i
		}
	}
	return -1
}

// StopOrder returns in which order a pod's containers are asked to exit: all that are
// no sidecars first, together; then the sidecars, one by one, the last one first.
// Each waits until those before it have exited, or the grace period has.
//
//	init a, sidecar b, sidecar c, container d → [[a d] [c] [b]]
func StopOrder(pod *corev1.Pod) [][]string {
	order := [][]string{nil}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; !IsSidecar(c) {
			order[0] = append(order[0], c.Name)
		}
	}
	for _, c := range pod.Spec.Containers {
		order[0] = append(order[0], c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		order[0] = append(order[0], c.Name)
	}
	for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
		if c := &pod.Spec.InitContainers[i]; IsSidecar(c) {
			order = append(order, []string{c.Name})
		}
	}
	return order
}
