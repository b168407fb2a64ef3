package pod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	cgroups "coracle/02-cgroups"
	"coracle/04-runtime/driver"
)

// counted are the resources that make a QoS class.
var counted = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// claims is whatever is requested and limited in a pod, each by itself: its containers
// of every kind but the ephemeral, or the pod's own where it has them.
func claims(pod *corev1.Pod) []corev1.ResourceRequirements {
	if podLevel(pod) {
		return []corev1.ResourceRequirements{*pod.Spec.Resources}
	}
	var all []corev1.ResourceRequirements
	for _, c := range pod.Spec.InitContainers {
		all = append(all, c.Resources)
	}
	for _, c := range pod.Spec.Containers {
		all = append(all, c.Resources)
	}
	return all
}

// podLevel says whether the pod itself requests or limits something (KEP-2837).
func podLevel(pod *corev1.Pod) bool {
	r := pod.Spec.Resources
	return r != nil && len(r.Requests)+len(r.Limits) > 0
}

// Requests is what the pod requests at its greediest moment: its containers and
// sidecars together, or an init container with the sidecars before it, whichever is
// more, plus the overhead; spec.resources has the last word on what it names.
// In full size: k8s.io/component-helpers/resource/helpers.go.
func Requests(pod *corev1.Pod) corev1.ResourceList {
	return total(pod, func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Requests })
}

// Limits is the same for limits.
func Limits(pod *corev1.Pod) corev1.ResourceList {
	return total(pod, func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Limits })
}

func total(pod *corev1.Pod, of func(corev1.ResourceRequirements) corev1.ResourceList) corev1.ResourceList {
	sum, sidecars, start := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		now := sidecars.DeepCopy()
		addAll(now, of(c.Resources))
		if IsSidecar(c) {
			sidecars = now
		}
		raise(start, now)
	}
	addAll(sum, sidecars)
	for _, c := range pod.Spec.Containers {
		addAll(sum, of(c.Resources))
	}
	raise(sum, start)
	if podLevel(pod) {
		for name, q := range of(*pod.Spec.Resources) {
			sum[name] = q.DeepCopy()
		}
	}
	for name, q := range pod.Spec.Overhead {
		if _, ok := sum[name]; ok {
			add(sum, name, q)
		}
	}
	return sum
}

// allLimit says whether the whole pod is bounded in a resource.
func allLimit(pod *corev1.Pod, name corev1.ResourceName) bool {
	if podLevel(pod) {
		if q, ok := pod.Spec.Resources.Limits[name]; ok && q.Sign() > 0 {
			return true
		}
	}
	all := append([]corev1.Container{}, pod.Spec.Containers...)
	for _, c := range append(all, pod.Spec.InitContainers...) {
		if q := c.Resources.Limits[name]; q.Sign() <= 0 {
			return false
		}
	}
	return true
}

// memoryRequest is what a container requests, with its part of what the pod requests
// beyond its containers: divided evenly among those that stay (pkg/kubelet/qos/policy.go).
func memoryRequest(pod *corev1.Pod, c *corev1.Container) int64 {
	own := c.Resources.Requests.Memory().Value()
	if !podLevel(pod) || pod.Spec.Resources.Requests.Memory().IsZero() {
		return own
	}
	rest, stay := pod.Spec.Resources.Requests.Memory().Value(), int64(0)
	for _, other := range pod.Spec.Containers {
		rest, stay = rest-other.Resources.Requests.Memory().Value(), stay+1
	}
	for i := range pod.Spec.InitContainers {
		if other := &pod.Spec.InitContainers[i]; IsSidecar(other) {
			rest, stay = rest-other.Resources.Requests.Memory().Value(), stay+1
		}
	}
	return own + max(rest, 0)/max(stay, 1)
}

// ClassResources is what the group of a class gets: all burstable pods weigh what they
// request together, all best-effort ones as little as the kernel allows. The guaranteed
// have no group of their own (pkg/kubelet/cm/qos_container_manager_linux.go).
func ClassResources(class corev1.PodQOSClass, pods []*corev1.Pod) driver.Resources {
	milli := int64(0)
	for _, p := range pods {
		if class == corev1.PodQOSBurstable && QoS(p) == class {
			r := Requests(p)
			milli += r.Cpu().MilliValue()
		}
	}
	return driver.Resources{CPUShares: cgroups.SharesFromMilliCPU(milli)}
}

func add(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	sum := list[name].DeepCopy()
	sum.Add(q)
	list[name] = sum
}

func addAll(list, more corev1.ResourceList) {
	for name, q := range more {
		add(list, name, q)
	}
}

func raise(list, to corev1.ResourceList) {
	for name, q := range to {
		if have, ok := list[name]; !ok || have.Cmp(q) < 0 {
			list[name] = q.DeepCopy()
		}
	}
}
