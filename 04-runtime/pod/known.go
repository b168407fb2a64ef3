package pod

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
)

// Labels and annotations by which the agent finds its sandboxes and containers again,
// the kubelet's own (pkg/kubelet/types/labels.go).
const (
	LabelName      = "io.kubernetes.pod.name"
	LabelNamespace = "io.kubernetes.pod.namespace"
	LabelUID       = "io.kubernetes.pod.uid"
	LabelContainer = "io.kubernetes.container.name"

	AnnotationHash = "io.kubernetes.container.hash" // Hash of what it was created from
)

// Known is all that is known of one pod at a moment, beside the pod itself, whose
// status is the last one that Status gave. Two kinds of things are in it: what the
// runtime tells whenever it is asked, and what only the agent remembers.
type Known struct {
	Now time.Time

	Sandboxes  []driver.SandboxStatus   // of this pod, in any order
	Containers []driver.ContainerStatus // of this pod, dead ones too; Message is the termination message
	Images     map[string]driver.Image  // by ID, for the names in a status

	Probes    map[string]probe.Results // by container ID
	Histories map[string]History       // by container name; SandboxHistory for the sandbox
	Stops     map[string]Stopping      // by container ID: what Terminate's orders have come to

	Over    *Over     // why the pod ended, once Decide said so; kept for good
	Ending  time.Time // since when the pod is being terminated
	Volumes string    // what a volume still lacks: no container can be created; "" when all are there
	HostIPs []string  // the node's
}

// SandboxHistory is the key of the sandbox's own history: no container has this name.
const SandboxHistory = ""

// History is what the agent remembers of a container, by name: the runtime forgets
// it with the container, or never knew.
type History struct {
	Restarts Backoff  // of starts after an exit
	Retries  Backoff  // of pulls and creations that failed
	Failure  *Failure // of the last try to start it; nil once one went well

	Replace  bool // killed because its definition changed: starts again whatever the policy
	Starting bool // its postStart hook still runs: not shown as running yet
}

// Started is the history to keep when a container is started in place of last, nil if it is the first.
func (h History) Started(last *driver.ContainerStatus, now time.Time) History {
	if last != nil && !h.Replace {
		h.Restarts = h.Restarts.Next(CrashLoop, now)
	}
	h.Failure, h.Replace = nil, false
	return h
}

// Failed is the history to keep when it could not be pulled, created or started.
func (h History) Failed(reason, message string, now time.Time) History {
	h.Retries = h.Retries.Next(ImagePull, now)
	h.Failure = &Failure{reason, message, now}
	return h
}

// A Failure is why a container could not be started, in Kubernetes' words.
type Failure struct {
	Reason, Message string // "ErrImagePull", "CreateContainerConfigError", …
	At              time.Time
}

// Over says that a pod has ended, and why if not by its containers' own exits.
type Over struct{ Reason, Message string }

// Sandbox is the newest sandbox that is ready, and else the newest one; nil if the pod has none.
func (k Known) Sandbox() *driver.SandboxStatus {
	if len(k.Sandboxes) == 0 {
		return nil
	}
	s := slices.MaxFunc(k.Sandboxes, func(a, b driver.SandboxStatus) int {
		if a.Ready != b.Ready {
			return cmp.Compare(bit(a.Ready), bit(b.Ready))
		}
		return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), a.CreatedAt.Compare(b.CreatedAt))
	})
	return &s
}

// All are the containers of a name, the newest first.
func (k Known) All(name string) []driver.ContainerStatus {
	var all []driver.ContainerStatus
	for _, c := range k.Containers {
		if c.Name == name {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b driver.ContainerStatus) int {
		return -cmp.Or(cmp.Compare(a.Attempt, b.Attempt), a.CreatedAt.Compare(b.CreatedAt))
	})
	return all
}

// Latest is the newest container of a name, nil if there is none.
func (k Known) Latest(name string) *driver.ContainerStatus {
	if all := k.All(name); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// Current is the newest container of a name if it is in the pod's ready sandbox.
// What ran in one before says nothing of how far this one has come.
func (k Known) Current(name string) *driver.ContainerStatus {
	c, s := k.Latest(name), k.Sandbox()
	if c == nil || s == nil || !s.Ready || c.Sandbox != s.ID {
		return nil
	}
	return c
}

// Again says whether a container that exited is to be started again: by its policy, or
// because it was killed only to be replaced.
func (k Known) Again(pod *corev1.Pod, c *corev1.Container, init bool, have *driver.ContainerStatus) bool {
	return k.Histories[c.Name].Replace || ShouldRestart(pod, c, init, have.ExitCode)
}

// Alive says whether processes of the container may exist: a created one waits at
// its barrier, of an unknown one nobody can say.
func Alive(c driver.ContainerStatus) bool { return c.State != driver.Exited }

// Hash identifies what a container must be replaced for when it changes. The kubelet
// takes name and image too: other fields cannot be changed (container/helpers.go, HashContainer).
func Hash(c *corev1.Container) string {
	sum := sha256.Sum256([]byte(c.Name + "\x00" + c.Image))
	return hex.EncodeToString(sum[:8])
}

// IsSidecar says whether an init container is one that stays: restartPolicy Always.
// Only makes sense for a container of spec.initContainers.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// find returns a container of the pod by name, and whether it is an init container.
func find(pod *corev1.Pod, name string) (c *corev1.Container, init bool) {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i], true
		}
	}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i], false
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if e := &pod.Spec.EphemeralContainers[i]; e.Name == name {
			c := corev1.Container(e.EphemeralContainerCommon)
			return &c, false
		}
	}
	return nil, false
}

// Find returns a container of the pod, of any kind, by its name; nil if there is none.
func Find(pod *corev1.Pod, name string) *corev1.Container {
	c, _ := find(pod, name)
	return c
}

// earlier is the earlier of two moments, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
