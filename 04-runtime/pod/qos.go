package pod

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	cgroups "coracle/02-cgroups"
	"coracle/04-runtime/driver"
)

// Exercise 4.8: QoS classes and pod cgroups
//
// A pod says what it requests and what it is limited to, container by container. From
// these two follow a class, a place in the tree of groups, and who dies first when
// memory runs out:
//
//	kubepods/pod…             Guaranteed: limits everywhere, requests equal to them
//	kubepods/burstable/pod…   something is requested or limited
//	kubepods/besteffort/pod…  nothing is
//
// Kubernetes: pkg/apis/core/v1/helper/qos/qos.go, pkg/kubelet/cm/helpers_linux.go
// (ResourceConfigForPod), pkg/kubelet/qos/policy.go.

// QoS returns a pod's class. Only cpu and memory count, amounts of 0 do not, init
// containers do. Guaranteed: every container has a limit for both, and the requests of
// all together equal the limits. BestEffort: no container has either. With
// spec.resources for either, those alone are looked at, as if they were one container's.
// Requests that were left out have been set to the limits before (see Defaults).
func QoS(pod *corev1.Pod) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	for _, r := range claims(pod) {
		for _, name := range counted {
			if q, ok := r.Requests[name]; ok && q.Sign() > 0 {
				add(requests, name, q)
			}
			if q, ok := r.Limits[name]; ok && q.Sign() > 0 {
				add(limits, name, q)
			} else {
				guaranteed = false
			}
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	for _, name := range counted {
		request, limit := requests[name], limits[name]
		guaranteed = guaranteed && request.Cmp(limit) == 0
	}
	if guaranteed {
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// GroupPath is the pod's group: below ClassPath, "pod" and its UID.
func GroupPath(pod *corev1.Pod) string {
	return path.Join(ClassPath(QoS(pod)), "pod"+string(pod.UID))
}

// ClassPath is the group of a class: /kubepods for Guaranteed, /kubepods/burstable and
// /kubepods/besteffort, so that each class is weighed as one against the others.
func ClassPath(class corev1.PodQOSClass) string {
	if class == corev1.PodQOSGuaranteed {
		return "/kubepods"
	}
	return "/kubepods/" + strings.ToLower(string(class))
}

// ContainerResources is what one container gets: shares for its CPU request (for its
// limit if it has no request; never less than 2), quota and memory for its limits, and
// OOMScore. Limits that are not set are 0. Of a container in a pod whose spec.resources
// limit it, the pod's limit is the group's above it, and not repeated.
//
// Chapter 2 has the conversion: cgroups.SharesFromMilliCPU.
func ContainerResources(pod *corev1.Pod, c *corev1.Container, nodeMemory int64) driver.Resources {
	cpu := c.Resources.Requests.Cpu()
	if cpu.IsZero() {
		cpu = c.Resources.Limits.Cpu()
	}
	return driver.Resources{
		CPUShares:     cgroups.SharesFromMilliCPU(cpu.MilliValue()),
		MilliCPULimit: c.Resources.Limits.Cpu().MilliValue(),
		MemoryLimit:   c.Resources.Limits.Memory().Value(),
		OOMScoreAdj:   OOMScore(pod, c, nodeMemory),
	}
}

// PodResources is what the pod's group gets: shares for Requests, and a quota or a
// memory limit for Limits, each only if every container has one (or spec.resources):
// where one may use what it likes, so may the pod. BestEffort: 2 shares, no limit.
func PodResources(pod *corev1.Pod) driver.Resources {
	limits := Limits(pod)
	cpu := Requests(pod)[corev1.ResourceCPU]
	r := driver.Resources{CPUShares: cgroups.SharesFromMilliCPU(cpu.MilliValue())}
	if allLimit(pod, corev1.ResourceCPU) {
		r.MilliCPULimit = limits.Cpu().MilliValue()
	}
	if allLimit(pod, corev1.ResourceMemory) {
		r.MemoryLimit = limits.Memory().Value()
	}
	return r
}

// OOMScore is what the kernel's OOM killer adds to a process's share of memory, in
// thousandths. Guaranteed pods, and those of the class system-node-critical: -997;
// BestEffort: 1000. Between them, who requested more of the node's memory is killed
// later: 1000 - 1000·request/node, rounded down after the division, kept from 3 to 999.
// A sidecar never goes before what it serves: its score is at most that of the
// container of spec.containers that requests least.
//
//	request 256Mi of 1Gi → 750    1Gi of 1Gi → 3    0 of 1Gi, beside one that requests → 999
func OOMScore(pod *corev1.Pod, c *corev1.Container, nodeMemory int64) int {
	switch class := QoS(pod); {
	case class == corev1.PodQOSGuaranteed, pod.Spec.PriorityClassName == "system-node-critical":
		return -997
	case class == corev1.PodQOSBestEffort || nodeMemory <= 0:
		return 1000
	}
	request := memoryRequest(pod, c)
	if _, init := find(pod, c.Name); init && IsSidecar(c) {
		least := memoryRequest(pod, &pod.Spec.Containers[0])
		for i := range pod.Spec.Containers {
			least = min(least, memoryRequest(pod, &pod.Spec.Containers[i]))
		}
		request = max(request, least)
	}
	return int(min(max(1000-1000*request/nodeMemory, 3), 999))
}
