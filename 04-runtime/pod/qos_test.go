package pod

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

const (
	plain      = "containers: [{name: a, image: x}]"
	guaranteed = "containers: [{name: a, image: x, resources: {limits: {cpu: 500m, memory: 64Mi}}}, {name: b, image: x, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1000m, memory: 1024Mi}}}]"
	burstable  = "containers: [{name: a, image: x, resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 512Mi}}}, {name: b, image: x, resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 500m}}}]"
	sidecar    = "initContainers: [{name: log, image: x, restartPolicy: Always, resources: {requests: {memory: 16Mi}}}, {name: big, image: x, resources: {requests: {memory: 900Mi, cpu: 3}}}]\n" +
		"containers: [{name: a, image: x, resources: {requests: {memory: 512Mi, cpu: 100m}}}, {name: b, image: x, resources: {requests: {memory: 256Mi}}}]"
)

func TestQoS(t *testing.T) {
	for _, c := range []struct {
		spec string
		want corev1.PodQOSClass
	}{
		{plain, corev1.PodQOSBestEffort},
		{"containers: [{name: a, image: x, resources: {requests: {cpu: 0}}}]", corev1.PodQOSBestEffort},
		{"containers: [{name: a, image: x, resources: {requests: {ephemeral-storage: 1Gi}}}]", corev1.PodQOSBestEffort},
		{guaranteed, corev1.PodQOSGuaranteed},
		{burstable, corev1.PodQOSBurstable},
		{sidecar, corev1.PodQOSBurstable},
		{"containers: [{name: a, image: x, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}}]", corev1.PodQOSBurstable},
		{"containers: [{name: a, image: x, resources: {limits: {cpu: 1}}}]", corev1.PodQOSBurstable},
		{"containers: [{name: a, image: x, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b, image: x}]", corev1.PodQOSBurstable},
		{"initContainers: [{name: i, image: x}]\ncontainers: [{name: a, image: x, resources: {limits: {cpu: 1, memory: 1Gi}}}]", corev1.PodQOSBurstable},
		{"resources: {limits: {cpu: 1, memory: 1Gi}}\ncontainers: [{name: a, image: x}]", corev1.PodQOSGuaranteed},
	} {
		got := QoS(manifest(t, c.spec))
		check.Equal(t, "QoS of "+c.spec, c.want, got,
			check.Often(c.want == corev1.PodQOSBestEffort, "an amount of 0, or of another resource, is counted"),
			check.Often(got == corev1.PodQOSGuaranteed, "one container with limits is taken for all"))
	}
}

func TestGroupPath(t *testing.T) {
	for spec, want := range map[string]string{plain: "/kubepods/besteffort/podu-1", burstable: "/kubepods/burstable/podu-1", guaranteed: "/kubepods/podu-1"} {
		check.Equal(t, "GroupPath of "+spec, want, GroupPath(manifest(t, spec)), check.Often(spec == guaranteed, "the guaranteed have a group of their own"))
	}
}

func TestContainerResources(t *testing.T) {
	exercise.Need(t, "2.4")
	for _, c := range []struct {
		spec string
		want []driver.Resources // by container
	}{
		{plain, []driver.Resources{{CPUShares: 2, OOMScoreAdj: 1000}}},
		{guaranteed, []driver.Resources{{CPUShares: 512, MilliCPULimit: 500, MemoryLimit: 64 << 20, OOMScoreAdj: -997}, {CPUShares: 1024, MilliCPULimit: 1000, MemoryLimit: 1 << 30, OOMScoreAdj: -997}}},
		{burstable, []driver.Resources{{CPUShares: 256, MemoryLimit: 512 << 20, OOMScoreAdj: 750}, {CPUShares: 512, MilliCPULimit: 2000, MemoryLimit: 1 << 30, OOMScoreAdj: 3}}},
	} {
		pod := manifest(t, c.spec)
		for i := range c.want {
			got := ContainerResources(pod, &pod.Spec.Containers[i], 1<<30)
			check.Equal(t, fmt.Sprintf("resources of container %d of %s", i, c.spec), c.want[i], got,
				check.Often(got.CPUShares == c.want[i].CPUShares*1000/1024, "thousandths of a CPU are not shares"),
				check.Often(got.CPUShares != c.want[i].CPUShares, "a container with a limit alone requests as much"))
		}
	}
}

func TestOOMScore(t *testing.T) {
	pod := manifest(t, sidecar)
	check.Equal(t, "a requests half of the node", 500, OOMScore(pod, &pod.Spec.Containers[0], 1<<30))
	check.Equal(t, "a sidecar beside one that requests a quarter", 750, OOMScore(pod, &pod.Spec.InitContainers[0], 1<<30),
		check.Often(true, "a sidecar is killed before what it serves"))
	check.Equal(t, "an init container that requests nearly all", 122, OOMScore(pod, &pod.Spec.InitContainers[1], 1<<30))
	check.Equal(t, "on a node a thousand times as large", 999, OOMScore(pod, &pod.Spec.Containers[0], 1<<50), check.Often(true, "a burstable pod scores as high as a best-effort one"))
	pod.Spec.PriorityClassName = "system-node-critical"
	check.Equal(t, "one that the node cannot do without", -997, OOMScore(pod, &pod.Spec.Containers[0], 1<<30))
}

func TestPodResources(t *testing.T) {
	exercise.Need(t, "2.4")
	for spec, want := range map[string]driver.Resources{
		plain:      {CPUShares: 2},
		guaranteed: {CPUShares: 1536, MilliCPULimit: 1500, MemoryLimit: 1<<30 + 64<<20},
		burstable:  {CPUShares: 768, MemoryLimit: 1<<30 + 512<<20},
		sidecar:    {CPUShares: 3072},
		"resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}\ncontainers: [{name: a, image: x, resources: {requests: {cpu: 100m}}}]": {CPUShares: 512, MilliCPULimit: 1000, MemoryLimit: 1 << 30},
	} {
		got := PodResources(manifest(t, spec))
		check.Equal(t, "resources of the pod "+spec, want, got,
			check.Often(spec == burstable && got.MilliCPULimit != 0, "a pod is bounded of which one container is not"),
			check.Often(spec == sidecar, "init containers are added up; they run one after another"))
	}
	a, b := manifest(t, burstable), manifest(t, guaranteed)
	check.Equal(t, "the burstable group", driver.Resources{CPUShares: 768}, ClassResources(corev1.PodQOSBurstable, []*corev1.Pod{a, b}))
}
