package volume

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/spec"
)

// Mounts are what a container gets of the pod's volumes, which SetUp has made. Each
// subPath is opened now and bound to a place of its own, so that what the container
// gets does not change however the volume does.
func (v *Volumes) Mounts(ctx context.Context, pod *corev1.Pod, c *corev1.Container, env map[string]string) ([]driver.Mount, error) {
	dir, err := v.podDir(pod.UID)
	if err != nil {
		return nil, err
	}
	var all []driver.Mount
	for i, m := range c.VolumeMounts {
		n := slices.IndexFunc(pod.Spec.Volumes, func(vol corev1.Volume) bool { return vol.Name == m.Name })
		if n < 0 {
			return nil, fmt.Errorf("container %s mounts volume %q: the pod has none of this name", c.Name, m.Name)
		}
		vol := &pod.Spec.Volumes[n]
		mount, err := v.options(c, &m)
		if err != nil {
			return nil, fmt.Errorf("volume %q of container %s: %w", m.Name, c.Name, err)
		}
		sub, err := subPath(&m, env)
		if err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, c.Name, err)
		}
		switch {
		case vol.Image != nil:
			if mount.Image, err = v.ImageID(ctx, pod, vol); err != nil {
				return nil, fmt.Errorf("volume %q: %w", m.Name, err)
			}
			mount.SubPath, mount.Readonly = sub, true
		case sub == "":
			mount.Source = v.path(pod, vol)
		default:
			to := filepath.Join(dir, "volume-subpaths", m.Name, c.Name, strconv.Itoa(i))
			if err := bindSubPath(v.path(pod, vol), sub, to, mount.Propagation); err != nil {
				return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, c.Name, err)
			}
			mount.Source = to
		}
		// What the agent writes is the agent's to change.
		mount.Readonly = mount.Readonly || vol.ConfigMap != nil || vol.Secret != nil || vol.DownwardAPI != nil || vol.Projected != nil
		all = append(all, mount)
	}
	return all, nil
}

var propagations = map[corev1.MountPropagationMode]string{
	"": "private", corev1.MountPropagationNone: "private",
	corev1.MountPropagationHostToContainer: "rslave", corev1.MountPropagationBidirectional: "rshared",
}

// options are a mount's target, and how it is mounted there.
func (v *Volumes) options(c *corev1.Container, m *corev1.VolumeMount) (driver.Mount, error) {
	mount := driver.Mount{Target: path.Join("/", m.MountPath), Readonly: m.ReadOnly}
	mode := corev1.MountPropagationMode("")
	if m.MountPropagation != nil {
		mode = *m.MountPropagation
	}
	var known bool
	if mount.Propagation, known = propagations[mode]; !known {
		return mount, fmt.Errorf("mountPropagation %q is none", mode)
	}
	privileged := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
	if mode == corev1.MountPropagationBidirectional && !privileged {
		return mount, fmt.Errorf("Bidirectional mount propagation is available only to privileged containers")
	}
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return mount, nil
	}
	switch {
	case !m.ReadOnly:
		return mount, fmt.Errorf("recursiveReadOnly may only be specified when readOnly is true")
	case mount.Propagation != "private":
		return mount, fmt.Errorf("recursiveReadOnly needs mountPropagation None, not %s", mode)
	case *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled && !v.RecursiveReadonly:
		return mount, fmt.Errorf("recursiveReadOnly Enabled: this node's runtime cannot")
	}
	mount.RecursiveReadonly = v.RecursiveReadonly
	return mount, nil
}

// subPath is the path that a mount names, its variables expanded. A variable that is
// not set is an error: the path would be another container's, or none.
func subPath(m *corev1.VolumeMount, env map[string]string) (string, error) {
	sub := m.SubPath
	if m.SubPathExpr != "" {
		var missing []string
		sub = spec.Expand(m.SubPathExpr, func(name string) (string, bool) {
			value, ok := env[name]
			if !ok {
				missing = append(missing, strconv.Quote(name))
			}
			return value, ok
		})
		if len(missing) > 0 {
			return "", fmt.Errorf("missing value for %s", strings.Join(missing, ", "))
		}
		if sub == "" {
			return "", fmt.Errorf("subPathExpr %s is an empty path", m.SubPathExpr)
		}
	}
	switch {
	case filepath.IsAbs(sub):
		return "", fmt.Errorf("SubPath `%s` must not be an absolute path", sub)
	case slices.Contains(strings.Split(sub, "/"), ".."):
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}
