package volume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	podpkg "coracle/04-runtime/pod"
	"coracle/04-runtime/spec"
)

// A payload is what a volume's files are to be, by their path in it.
type payload map[string]file

type file struct {
	data []byte
	mode int32 // permission bits
}

// projected writes the files of a volume that is made of objects.
func (v *Volumes) projected(ctx context.Context, pod *corev1.Pod, vol *corev1.Volume) error {
	files, err := v.payload(ctx, pod, vol)
	if err != nil {
		return err
	}
	dir := v.path(pod, vol)
	if vol.ConfigMap == nil { // a secret is in memory only; so is what may hold one
		if err := makeFolder(dir, 0o750); err != nil {
			return err
		}
		// Not to be swapped out to a disk either: Linux 6.3, not in a user namespace.
		if err := mountTmpfs(dir, 0o755, "noswap", "size=50%"); err != nil {
			return err
		}
	} else if err := makeFolder(dir, 0o755); err != nil {
		return err
	}
	if err := writeAtomically(dir, files, func(written string) error { return setGroup(written, pod, 0o440) }); err != nil {
		return err
	}
	return setFolderGroup(dir, pod, 0o440)
}

func (v *Volumes) payload(ctx context.Context, pod *corev1.Pod, vol *corev1.Volume) (payload, error) {
	switch {
	case vol.ConfigMap != nil:
		s := vol.ConfigMap
		return v.configMap(ctx, pod, s.Name, s.Items, modeOf(s.DefaultMode), s.Optional)
	case vol.Secret != nil:
		s := vol.Secret
		return v.secret(ctx, pod, s.SecretName, s.Items, modeOf(s.DefaultMode), s.Optional)
	case vol.DownwardAPI != nil:
		return v.downward(pod, vol.DownwardAPI.Items, modeOf(vol.DownwardAPI.DefaultMode))
	}
	all, mode := payload{}, modeOf(vol.Projected.DefaultMode)
	for _, s := range vol.Projected.Sources { // of two files with one path, the later one
		var files payload
		err := errors.New("this node has no projections of its kind")
		switch {
		case s.ConfigMap != nil:
			files, err = v.configMap(ctx, pod, s.ConfigMap.Name, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
		case s.Secret != nil:
			files, err = v.secret(ctx, pod, s.Secret.Name, s.Secret.Items, mode, s.Secret.Optional)
		case s.DownwardAPI != nil:
			files, err = v.downward(pod, s.DownwardAPI.Items, mode)
		case s.ServiceAccountToken != nil:
			err = errors.New("a service account token is given by an API server: this node is joined to none (chapter 5)")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

func (v *Volumes) configMap(ctx context.Context, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional *bool) (payload, error) {
	m, err := v.Objects.ConfigMap(ctx, pod.Namespace, name)
	if err != nil {
		return nothing(err, optional)
	}
	data := maps.Clone(m.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for key, text := range m.Data {
		data[key] = []byte(text)
	}
	return pick(data, items, mode, optional, "config")
}

func (v *Volumes) secret(ctx context.Context, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional *bool) (payload, error) {
	s, err := v.Objects.Secret(ctx, pod.Namespace, name)
	if err != nil {
		return nothing(err, optional)
	}
	return pick(s.Data, items, mode, optional, "secret")
}

// nothing is what an optional object that is not there gives: no files, no error.
func nothing(err error, optional *bool) (payload, error) {
	if optional != nil && *optional && apierrors.IsNotFound(err) {
		return payload{}, nil
	}
	return nil, err
}

// pick takes all keys, or those that are asked for by the paths they are asked for.
func pick(data map[string][]byte, items []corev1.KeyToPath, mode int32, optional *bool, what string) (payload, error) {
	files := payload{}
	if len(items) == 0 {
		for key, b := range data {
			files[key] = file{b, mode}
		}
	}
	for _, item := range items {
		b, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return nil, fmt.Errorf("references non-existent %s key: %s", what, item.Key)
		}
		f := file{b, mode}
		if item.Mode != nil {
			f.mode = *item.Mode
		}
		files[item.Path] = f
	}
	return files, nil
}

func (v *Volumes) downward(pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode int32) (payload, error) {
	files := payload{}
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil && strings.HasPrefix(item.FieldRef.FieldPath, "metadata."):
			text, err = spec.Field(pod, item.FieldRef.FieldPath, v.Node, nil)
		case item.FieldRef != nil: // the API allows no more in a file
			err = fmt.Errorf("unsupported fieldPath: %s", item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			c := podpkg.Find(pod, item.ResourceFieldRef.ContainerName)
			if c == nil {
				return nil, fmt.Errorf("container %s not found", item.ResourceFieldRef.ContainerName)
			}
			text, err = spec.Resource(pod, c, item.ResourceFieldRef, v.Node)
		}
		if err != nil {
			return nil, err
		}
		f := file{[]byte(text), mode}
		if item.Mode != nil {
			f.mode = *item.Mode
		}
		files[path.Clean(item.Path)] = f
	}
	return files, nil
}

func modeOf(mode *int32) int32 {
	if mode == nil {
		return 0o644
	}
	return *mode
}
