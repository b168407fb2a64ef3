// Package driver is what a node agent asks of a container runtime: images, sandboxes
// (a pod's namespaces), containers, streams and events. It declares; the packages
// below it do: ours, on the runtime of this chapter, and docker, on a Docker Engine.
//
//	agent ── Driver ──┬─ driver/ours    oci, shim, crilog, network, 03-images
//	                  └─ driver/docker  github.com/docker/docker/client
//
// The model is the CRI (k8s.io/cri-api/pkg/apis/runtime/v1/api.proto) made small:
// the same steps in the same order, with Go's types instead of gRPC's. Nothing here
// knows of Kubernetes' types: a container config is what is to run, already decided.
//
// Guarantees that every driver gives:
//   - what was created is listed until it was removed, also after the driver's process
//     was killed and began anew: the agent keeps nothing that it cannot list again;
//   - Stop and Remove of what is stopped or gone are no errors, so that they can be
//     repeated after a crash;
//   - labels and annotations come back as they were given; nobody else reads them;
//   - a call that ended by its context left nothing half made that is not listed.
//
// Not here: garbage collection, back-off, retries, policy. These are the agent's.
package driver
