package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
)

// Reasons why a container waits, as Kubernetes words them (pkg/kubelet/container/sync_result.go,
// pkg/kubelet/images/types.go). The agent gives those from ErrImagePull on to a Failure.
const (
	ContainerCreating = "ContainerCreating"
	PodInitializing   = "PodInitializing"
	CrashLoopBackOff  = "CrashLoopBackOff"
	ImagePullBackOff  = "ImagePullBackOff"

	ErrImagePull               = "ErrImagePull"
	ErrImageNeverPull          = "ErrImageNeverPull"
	InvalidImageName           = "InvalidImageName"
	ImageInspectError          = "ImageInspectError"
	CreateContainerConfigError = "CreateContainerConfigError"
	CreateContainerError       = "CreateContainerError"
	RunContainerError          = "RunContainerError"
	PostStartHookError         = "PostStartHookError"
)

// containerStatus is one container's, from the newest one of its name and the one before it.
func containerStatus(pod *corev1.Pod, c *corev1.Container, init bool, k Known, old *corev1.ContainerStatus, scheme string) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	all := k.All(c.Name)
	if len(all) == 0 {
		gone(pod, c, init, k, old, &s)
		return s
	}
	have := all[0]
	s.RestartCount = int32(have.Attempt)
	s.ContainerID = containerID(scheme, have.ID)
	s.ImageID = have.ImageID
	if image, ok := k.Images[have.ImageID]; ok {
		if len(image.Digests) > 0 {
			s.ImageID = image.Digests[0]
		}
		if c.Image == "" && len(image.Tags) > 0 {
			s.Image = image.Tags[0]
		}
	}
	s.Resources = c.Resources.DeepCopy()
	s.AllocatedResources = c.Resources.Requests.DeepCopy()
	s.VolumeMounts = mounts(c)
	if c.Lifecycle != nil {
		s.StopSignal = c.Lifecycle.StopSignal
	}

	s.State = state(have, scheme)
	if len(all) > 1 {
		if before := state(all[1], scheme); before.Terminated != nil {
			s.LastTerminationState = before
		}
	} else if old != nil {
		s.LastTerminationState = old.LastTerminationState // collected since
		if old.State.Terminated != nil && old.ContainerID != s.ContainerID {
			s.LastTerminationState = old.State
		}
	}
	if wait := waiting(pod, c, init, have, k); wait != nil {
		if s.State.Terminated != nil {
			s.LastTerminationState = s.State
		}
		s.State = corev1.ContainerState{Waiting: wait}
	}

	up := s.State.Running != nil && (c.StartupProbe == nil || k.Probes[have.ID].Startup == probe.Success)
	s.Started = &up
	switch {
	case init && !IsSidecar(c):
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
	case up:
		s.Ready = c.ReadinessProbe == nil || k.Probes[have.ID].Readiness == probe.Success
	}
	return s
}

// gone is the status of a container that does not exist: not yet, or not any more.
func gone(pod *corev1.Pod, c *corev1.Container, init bool, k Known, old *corev1.ContainerStatus, s *corev1.ContainerStatus) {
	if old != nil && old.ContainerID != "" {
		*s = *old.DeepCopy()
		if old.State.Terminated == nil && old.State.Running != nil {
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: "ContainerStatusUnknown", ExitCode: 137, ContainerID: old.ContainerID,
				StartedAt: old.State.Running.StartedAt, FinishedAt: metav1.Time{Time: k.Now},
				Message: "The container could not be located when the pod was looked at. The container used to be Running"}}
			s.Ready, s.Started = false, new(bool)
		}
		if wait := waiting(pod, c, init, driver.ContainerStatus{}, k); wait != nil && s.State.Terminated == nil {
			s.State = corev1.ContainerState{Waiting: wait}
		}
		return
	}
	s.Started = new(bool)
	wait := waiting(pod, c, init, driver.ContainerStatus{}, k)
	if wait == nil {
		wait = &corev1.ContainerStateWaiting{Reason: ContainerCreating}
		if len(pod.Spec.InitContainers) > 0 {
			wait.Reason = PodInitializing
		}
	}
	s.State = corev1.ContainerState{Waiting: wait}
}

// waiting says why a container that should run does not, nil if there is no such reason:
// the last try failed, or its back-off lasts.
func waiting(pod *corev1.Pod, c *corev1.Container, init bool, have driver.ContainerStatus, k Known) *corev1.ContainerStateWaiting {
	h := k.Histories[c.Name]
	if have.State == driver.Running {
		if h.Starting {
			return &corev1.ContainerStateWaiting{Reason: ContainerCreating}
		}
		return nil
	}
	if k.Over != nil || pod.DeletionTimestamp != nil {
		return nil
	}
	if have.State == driver.Exited && !k.Again(pod, c, init, &have) {
		return nil
	}
	if f := h.Failure; f != nil {
		if f.Reason == ErrImagePull && !h.Retries.Until(ImagePull, f.At, k.Now).IsZero() && k.Now.After(f.At) {
			return &corev1.ContainerStateWaiting{Reason: ImagePullBackOff, Message: fmt.Sprintf("Back-off pulling image %q: %s: %s", c.Image, f.Reason, f.Message)}
		}
		return &corev1.ContainerStateWaiting{Reason: f.Reason, Message: f.Message}
	}
	if have.State == driver.Exited && !h.StartAfter(&have, k.Now).IsZero() {
		return &corev1.ContainerStateWaiting{Reason: CrashLoopBackOff, Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
			h.Restarts.Delay, c.Name, pod.Name, pod.Namespace, pod.UID)}
	}
	if have.State == driver.Created {
		return &corev1.ContainerStateWaiting{Reason: ContainerCreating}
	}
	return nil
}

// state is a container's as the runtime tells it.
func state(c driver.ContainerStatus, scheme string) corev1.ContainerState {
	switch c.State {
	case driver.Running:
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: c.StartedAt}}}
	case driver.Created:
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: ContainerCreating}}
	case driver.Exited:
		t := &corev1.ContainerStateTerminated{ExitCode: int32(c.ExitCode), Reason: c.Reason, Message: c.Message,
			StartedAt: metav1.Time{Time: c.StartedAt}, FinishedAt: metav1.Time{Time: c.FinishedAt}, ContainerID: containerID(scheme, c.ID)}
		switch {
		case c.OOMKilled:
			t.Reason = "OOMKilled"
		case t.Reason != "":
		case c.ExitCode == 0:
			t.Reason = "Completed"
		default:
			t.Reason = "Error"
		}
		return corev1.ContainerState{Terminated: t}
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
		Message: "The runtime does not know what became of the container", ContainerID: containerID(scheme, c.ID)}}
}

// mounts are a container's as its status lists them.
func mounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var all []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly && m.RecursiveReadOnly != nil {
			recursive := *m.RecursiveReadOnly
			if recursive == corev1.RecursiveReadOnlyIfPossible {
				recursive = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &recursive
		}
		all = append(all, s)
	}
	return all
}
