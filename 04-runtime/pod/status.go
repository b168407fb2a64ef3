package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Status is what the API carries of a pod: pod.Status brought up to what is known. Of
// the old status it keeps when things began (startTime, the times of conditions that
// still hold), a phase that is final, the conditions of others, and what became of
// containers that are gone since.
//
// scheme is the driver's name, with which a containerID begins. In full size:
// pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, convertStatusToAPIStatus, getPhase).
func Status(pod *corev1.Pod, k Known, scheme string) corev1.PodStatus {
	s := *pod.Status.DeepCopy()
	s.ObservedGeneration = pod.Generation
	s.QOSClass = QoS(pod)
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: k.Now}
	}
	addresses(pod, k, &s)
	if podLevel(pod) {
		s.Resources, s.AllocatedResources = pod.Spec.Resources.DeepCopy(), pod.Spec.Resources.Requests.DeepCopy()
	}

	old := &pod.Status
	s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(pod, c, true, k, previous(old.InitContainerStatuses, c.Name), scheme))
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(pod, c, false, k, previous(old.ContainerStatuses, c.Name), scheme))
	}
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		s.EphemeralContainerStatuses = append(s.EphemeralContainerStatuses, containerStatus(pod, &c, false, k, previous(old.EphemeralContainerStatuses, c.Name), scheme))
	}
	s.Phase = phase(pod, k, &s)
	if k.Over != nil && k.Over.Reason != "" {
		s.Reason, s.Message = k.Over.Reason, k.Over.Message
	}
	conditions(pod, k, &s)
	return s
}

// addresses are the node's and the pod's; with the host's network these are the same.
func addresses(pod *corev1.Pod, k Known, s *corev1.PodStatus) {
	if len(k.HostIPs) > 0 {
		s.HostIP, s.HostIPs = k.HostIPs[0], nil
		for _, ip := range k.HostIPs {
			s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
		}
	}
	var ips []string
	if sandbox := k.Sandbox(); sandbox != nil && sandbox.Ready {
		ips = sandbox.IPs
		if pod.Spec.HostNetwork {
			ips = k.HostIPs
		}
	}
	if len(ips) == 0 { // what the pod had is kept until it has another
		return
	}
	s.PodIP, s.PodIPs = ips[0], nil
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

// phase sums up the containers' statuses (kubelet_pods.go, getPhase). A pod has only
// succeeded or failed when none of its containers runs any more, sidecars too: who
// sees it may give its resources to another.
func phase(pod *corev1.Pod, k Known, s *corev1.PodStatus) corev1.PodPhase {
	if p := pod.Status.Phase; p == corev1.PodSucceeded || p == corev1.PodFailed {
		return p
	}
	alive, begun, failed := false, false, false
	running, waiting, again := 0, 0, 0
	for _, c := range k.Containers {
		alive = alive || Alive(c)
	}
	for i := range pod.Spec.Containers {
		c, have := &pod.Spec.Containers[i], s.ContainerStatuses[i]
		ended := lastExit(have)
		begun = begun || have.State.Running != nil || ended != nil
		switch {
		case have.State.Running != nil:
			running++
		case ended == nil:
			waiting++
		case k.Histories[c.Name].Replace || ShouldRestart(pod, c, false, int(ended.ExitCode)):
			again++
			failed = failed || ended.ExitCode != 0
		default:
			failed = failed || ended.ExitCode != 0
		}
	}
	initialized, initFailed := initPhase(pod, k, s, begun)
	over := k.Over != nil || pod.DeletionTimestamp != nil
	now := corev1.PodPending
	switch {
	case alive && pod.Status.Phase != "" && (over || initFailed):
		return pod.Status.Phase
	case begun && waiting == 0 && (initialized || running > 0):
		now = corev1.PodRunning
	}
	switch {
	case alive || !(over || initFailed) && (running+waiting+again > 0):
		return now
	case initFailed, failed, waiting > 0, k.Over != nil && k.Over.Reason != "":
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// initPhase says whether the init containers are through, or one of them has failed
// and will not be tried again. Once containers have begun, no sidecar holds them up.
func initPhase(pod *corev1.Pod, k Known, s *corev1.PodStatus, begun bool) (initialized, failed bool) {
	initialized = true
	for i := range pod.Spec.InitContainers {
		c, have := &pod.Spec.InitContainers[i], s.InitContainerStatuses[i]
		ended := lastExit(have)
		switch {
		case IsSidecar(c):
			initialized = initialized && (begun || ended != nil || have.Started != nil && *have.Started)
		case ended == nil:
			initialized = false
		case ended.ExitCode != 0:
			initialized = false
			failed = failed || !k.Histories[c.Name].Replace && !ShouldRestart(pod, c, true, int(ended.ExitCode))
		}
	}
	return initialized, failed
}

// lastExit is how a container ended that is not running: now, or before it began to wait.
func lastExit(s corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	switch {
	case s.State.Running != nil:
		return nil
	case s.State.Terminated != nil:
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}

func previous(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// containerID is an ID as the API words it: "coracle://1f…".
func containerID(scheme, id string) string { return fmt.Sprintf("%s://%s", scheme, id) }
