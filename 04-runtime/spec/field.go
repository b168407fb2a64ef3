package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Node is what of this node shows in its pods, and what it allows them.
type Node struct {
	Name            string
	IPs             []string
	Memory          int64               // bytes, for the OOM scores
	Allocatable     corev1.ResourceList // what a container without a limit could use
	SeccompProfiles string              // folder of Localhost profiles; "": none
	UnsafeSysctls   []string            // allowed besides the safe ones: "net.core.somaxconn", "kernel.msg*"
}

// Field is the value of a fieldRef: of metadata, spec or status of the pod. podIPs are
// its addresses, with the host's network the node's. metadata.labels and .annotations as
// a whole are files of a downwardAPI volume only: one line KEY="VALUE" each.
func Field(pod *corev1.Pod, path string, node Node, podIPs []string) (string, error) {
	if pod.Spec.HostNetwork && len(podIPs) == 0 {
		podIPs = node.IPs
	}
	first := func(list []string) string { return append(slices.Clip(list), "")[0] }
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
		return "", fmt.Errorf("fieldPath %q does not support subscript", path)
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	case "spec.nodeName":
		return node.Name, nil // a static pod's spec does not say it
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(node.IPs), nil
	case "status.hostIPs":
		return strings.Join(node.IPs, ","), nil
	case "status.podIP":
		return first(podIPs), nil
	case "status.podIPs":
		return strings.Join(podIPs, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %s", path)
}

// subscript splits "metadata.labels['app']".
func subscript(path string) (name, key string, ok bool) {
	name, rest, found := strings.Cut(path, "['")
	key, closed := strings.CutSuffix(rest, "']")
	return name, key, found && closed
}

func lines(m map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%q", key, m[key]))
	}
	return strings.Join(out, "\n")
}

// Resource is the value of a resourceFieldRef, divided and rounded up: "limits.cpu" of
// 250m by 1 is "1", by 1m "250". A limit that is not set is the pod's, and else all the
// node has; a request that is not set is 0.
func Resource(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector, node Node) (string, error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	resourceName := corev1.ResourceName(name)
	known := resourceName == corev1.ResourceCPU || resourceName == corev1.ResourceMemory ||
		resourceName == corev1.ResourceEphemeralStorage || strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	if !known || kind != "limits" && kind != "requests" {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	q := c.Resources.Requests[resourceName]
	if kind == "limits" {
		q = c.Resources.Limits[resourceName]
		if q.IsZero() && pod.Spec.Resources != nil {
			q = pod.Spec.Resources.Limits[resourceName]
		}
		if q.IsZero() {
			q = node.Allocatable[resourceName]
		}
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	have, by := q.Value(), divisor.Value()
	if resourceName == corev1.ResourceCPU {
		have, by = q.MilliValue(), divisor.MilliValue()
	}
	return strconv.FormatInt((have+by-1)/by, 10), nil
}
