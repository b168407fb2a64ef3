// Package volume makes a pod's volumes on the node, keeps them up to date, and takes
// them away again: emptyDir, hostPath, configMap, secret, downwardAPI, projected, image.
//
//	DIR/UID/volumes/TYPE/NAME              the volume: a folder, or a tmpfs on one
//	DIR/UID/volumes/TYPE/NAME/..data       → ..2026_01_02_15_04_05.123, the files' current state
//	DIR/UID/volume-subpaths/NAME/CONTAINER/N   a subPath, bound here: what a container gets
//
// Volumes.SetUp is called until it succeeds, and later again and again: it makes what is
// missing and updates what changed. TearDown needs nothing but the UID.
//
// Guarantees:
//   - there is no state but the folder and the mounts in it: whoever begins anew finds all;
//   - the files of a configMap, secret, downwardAPI or projected volume change together:
//     who opens ..data/x and ..data/y by one handle on ..data sees one state of the objects;
//     secrets are never on a disk (a tmpfs; before Linux 6.3 and in a user namespace it may be swapped);
//   - a subPath is inside its volume, whatever links the volume holds and whatever a
//     container does to it at that moment;
//   - what TearDown removes is the volume, never what was mounted in it.
//
// Caveats: who follows ..data at the very moment of a change may find the old state
// gone (ENOENT), and finds the new one when it looks again; the kubelet's readers have
// the same to do, and no revoked secret stays. The files of a subPath are not updated,
// as in Kubernetes. A disk emptyDir's limit is measured (Exceeded), not enforced. With
// hostUsers: false the files' owners are those that the container sees: the driver shows
// the mount with the pod's id maps. Huge pages, service account tokens (chapter 5), and
// all volumes of CSI are not here.
//
// In full size: pkg/volume/{emptydir,hostpath,configmap,projected}, pkg/volume/util/atomic_writer.go,
// pkg/volume/util/subpath/subpath_linux.go, pkg/volume/volume_linux.go (fsGroup).
package volume
