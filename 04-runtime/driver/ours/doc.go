// Package ours is the driver of what this workshop builds: the runtime (oci) with a shim
// for each container, the image store of chapter 3, and a network that is given.
//
//	DIR/sandboxes/ID/   sandbox.json  what it is; ns/  its namespaces, a bound file each
//	                    hosts, hostname, resolv.conf, shm/
//	DIR/containers/ID/  container.json  what it is; config.json  the bundle; rootfs/  mounted
//	                    mounts/  what it sees of images and sub-paths; and the shim's files
//	DIR/runtime/ID/     the state of package oci
//
// Everything is in these folders. A driver that begins finds it again: a folder exists
// before anything is made for it, and goes after all else has gone.
//
// A pod's namespaces are made by a short process (shim.HoldMain) and kept by files that
// they are bound to; only a shared PID namespace has a process, its first.
//
// Guarantees beside those of package driver:
//   - no container is created twice from one folder: its shim holds a lock;
//   - a container whose shim was killed is killed as well, once that is noticed: by the
//     watch that each running container has, or when the driver begins. It has then
//     exited, with 137 and a message.
//
// Caveats: the mounts and the bound files are in the mount namespace of the process; who
// begins again must do so in that one. What a container has written is counted by
// walking it. A user namespace of a pod takes a kernel and file system that can show a
// store's layers with other ids (mount_setattr(2), Linux 5.19 for overlay), real root,
// and a DIR that its root can pass through, all the way from /. Pull takes no tokens.
//
// In full size: containerd, internal/cri/server.
package ours
