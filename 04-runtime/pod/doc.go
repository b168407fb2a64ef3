// Package pod decides what a node agent does for a pod. It decides and does nothing:
// every function here is pure, from what is known of a pod at a moment to one value.
//
//	             ┌ Decide ─────> Actions      what to create, kill and start now, when to look again
//	pod, Known ──┼ Terminate ──> Termination  the same once the pod is to end
//	             └ Status ─────> PodStatus    what the API carries
//	pod ─────────── QoS, Resources            class, cgroup, limits, OOM score
//	manifest ────── Decode, Defaults, Unsupported
//
// The agent's loop is: list what the runtime has, call Decide, carry out the Actions,
// and begin again when something happened or at Actions.Wake. Whatever was missed or
// half done is seen in the next list (level-triggered): no function here remembers.
//
// Guarantees:
//   - no action creates or starts what is there and runs: nothing runs twice;
//   - carried out again and again, actions come to an end: a pod that rests gets none;
//   - an init container starts only when all before it are done or, as sidecars, up;
//   - time is an argument. A clock set back starts a container too early, never too late.
//
// Caveats: resize in place, devices, pod-level rules (RestartAllContainers) and static
// CPU sets are not here; Unsupported reports them on the pod.
//
// In full size: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions),
// pkg/kubelet/container/helpers.go, pkg/kubelet/kubelet_pods.go, pkg/kubelet/status.
package pod
