package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"coracle/04-runtime/spec"
)

// Volumes are those of all pods of a node. Its methods may be called by any number of
// goroutines, but not two at once for one pod.
type Volumes struct {
	Dir     string // the folder of all pods; made if it is missing
	Objects spec.ObjectGetter
	Node    spec.Node

	// RecursiveReadonly says that the runtime can make what is mounted below a mount
	// read-only too (mount_setattr(2), Linux 5.12).
	RecursiveReadonly bool
	// ImageID finds the image of an image volume, which the agent has pulled.
	ImageID func(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (string, error)
}

var _ spec.Volumes = (*Volumes)(nil)

// SetUp makes the pod's volumes that a container uses, or brings them up to date.
// The error is of the first that cannot be, in the kubelet's words: the pod waits.
func (v *Volumes) SetUp(ctx context.Context, pod *corev1.Pod) error {
	dir, err := v.podDir(pod.UID)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	used := inUse(pod)
	for i := range pod.Spec.Volumes {
		vol := &pod.Spec.Volumes[i]
		if !used[vol.Name] {
			continue
		}
		if err := v.setUp(ctx, pod, vol); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", vol.Name, err)
		}
	}
	return nil
}

func (v *Volumes) setUp(ctx context.Context, pod *corev1.Pod, vol *corev1.Volume) error {
	switch {
	case vol.HostPath != nil:
		return checkHostPath(vol.HostPath)
	case vol.Image != nil:
		_, err := v.ImageID(ctx, pod, vol)
		return err
	case vol.EmptyDir != nil:
		return v.emptyDir(pod, vol)
	case vol.ConfigMap != nil, vol.Secret != nil, vol.DownwardAPI != nil, vol.Projected != nil:
		return v.projected(ctx, pod, vol)
	}
	return errors.New("this node has no volumes of its type")
}

// kind is the name of a volume's type, as a folder; "" for one that is not kept here.
func kind(vol *corev1.Volume) string {
	switch {
	case vol.EmptyDir != nil:
		return "empty-dir"
	case vol.ConfigMap != nil:
		return "configmap"
	case vol.Secret != nil:
		return "secret"
	case vol.DownwardAPI != nil:
		return "downward-api"
	case vol.Projected != nil:
		return "projected"
	}
	return ""
}

// path is where a volume is on the node; "" for an image.
func (v *Volumes) path(pod *corev1.Pod, vol *corev1.Volume) string {
	if vol.HostPath != nil {
		return vol.HostPath.Path
	}
	if kind(vol) == "" {
		return ""
	}
	return filepath.Join(v.Dir, string(pod.UID), "volumes", kind(vol), vol.Name)
}

// podDir is a pod's folder. A static pod's UID is what its manifest says: no path.
func (v *Volumes) podDir(uid types.UID) (string, error) {
	if uid == "" || uid == "." || uid == ".." || strings.ContainsAny(string(uid), "/\x00") {
		return "", fmt.Errorf("pod UID %q is no name of a folder", uid)
	}
	return filepath.Join(v.Dir, string(uid)), nil
}

// inUse are the names of the volumes that a container of any kind mounts, or reads a variable from.
func inUse(pod *corev1.Pod) map[string]bool {
	names := map[string]bool{}
	add := func(mounts []corev1.VolumeMount, env []corev1.EnvVar) {
		for _, m := range mounts {
			names[m.Name] = true
		}
		for _, e := range env {
			if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
				names[e.ValueFrom.FileKeyRef.VolumeName] = true
			}
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		add(c.VolumeMounts, c.Env)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		add(c.VolumeMounts, c.Env)
	}
	return names
}

// Pods are those that have a folder here: those that are no more are to be torn down.
func (v *Volumes) Pods() ([]types.UID, error) {
	entries, err := os.ReadDir(v.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var uids []types.UID
	for _, e := range entries {
		if e.IsDir() {
			uids = append(uids, types.UID(e.Name()))
		}
	}
	return uids, nil
}

// TearDown unmounts and removes all that a pod has here. Its containers are gone. It
// removes no file as long as anything is mounted: that would be somebody else's.
func (v *Volumes) TearDown(uid types.UID) error {
	dir, err := v.podDir(uid)
	if err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return fmt.Errorf("volumes of pod %s: %w", uid, err)
	}
	return os.RemoveAll(dir)
}
