// Package spec turns a container of a pod into what a runtime is told: from
// core/v1's Container and Pod to a driver.ContainerConfig, from the Pod to a
// driver.SandboxConfig.
//
//	Admit ───────> Rejection        what this node cannot do for the pod, before anything is made
//	Sandbox ─────> SandboxConfig
//	Environment ─> the variables, from every source of the API
//	Container ───> ContainerConfig  environment, command, mounts, security, resources
//	TerminationMessage              what the container left to say
//
// Everything is decided here, nothing is made, save the file for the termination
// message. ConfigMaps and Secrets come through an ObjectGetter: a directory (NewDir)
// now, the API from chapter 5 on.
//
// Guarantees:
//   - the same pod, objects and node give the same config: lists are in a fixed order;
//   - what a container must not start without is an error in the kubelet's words, which
//     the agent shows as CreateContainerConfigError; what is only skipped is a Warning.
//
// In full size: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables),
// pkg/kubelet/kuberuntime/{kuberuntime_container,security_context}_linux.go,
// pkg/kubelet/sysctl, third_party/forked/golang/expansion.
package spec
