package pod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
)

// Why a container is killed (kuberuntime_container.go, containerKillReason).
const (
	ReasonPod      = "" // the pod ends, and it with it
	ReasonStartup  = "StartupProbe"
	ReasonLiveness = "LivenessProbe"
	ReasonUnknown  = "Unknown"
	ReasonChanged  = "Changed"
	ReasonStray    = "Stray" // not in the pod's sandbox
)

// A Kill is a container that is to be ended: preStop hook, signal, grace (see Grace).
type Kill struct {
	ID, Name string
	Reason   string // one of those above
	Message  string // for the event Killing
	Replace  bool   // to be remembered in its History
}

// unhealthy says why a running container must not run on, nil if it may.
func unhealthy(pod *corev1.Pod, c *corev1.Container, have *driver.ContainerStatus, k Known) *Kill {
	_, init := find(pod, c.Name)
	kill := Kill{ID: have.ID, Name: c.Name}
	results, why := k.Probes[have.ID], ""
	switch hash := have.Annotations[AnnotationHash]; {
	case hash != "" && hash != Hash(c):
		kill.Reason, why, kill.Replace = ReasonChanged, "definition changed", true
	case results.Liveness == probe.Failure:
		kill.Reason, why = ReasonLiveness, "failed liveness probe"
	case results.Startup == probe.Failure:
		kill.Reason, why = ReasonStartup, "failed startup probe"
	default:
		return nil
	}
	kind := "Container"
	if init {
		kind = "Init container"
	}
	kill.Message = fmt.Sprintf("%s %s %s", kind, c.Name, why)
	if kill.Replace || ShouldRestart(pod, c, init, 137) {
		kill.Message += ", will be restarted"
	}
	return &kill
}

// stuck is the end of a container that did not get past its creation, or of which
// nobody knows whether it runs: it must be gone before another one takes its place.
func stuck(have *driver.ContainerStatus) Kill {
	return Kill{ID: have.ID, Name: have.Name, Reason: ReasonUnknown, Replace: true,
		Message: fmt.Sprintf("Container is in %q state, try killing it before restart", have.State)}
}

// DefaultGrace is what a pod gets that says nothing.
const DefaultGrace = 30 * time.Second
