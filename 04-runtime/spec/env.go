package spec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A Warning is what was left out of a container, to be told as an event of its pod.
type Warning struct{ Reason, Message string }

// Sources are where an environment comes from besides the container's own words.
type Sources struct {
	Objects  ObjectGetter
	Node     Node
	PodIPs   []string
	Services map[string]string // of services, from chapter 5 on; all else stands above them
	// File reads a file of a volume, for fileKeyRef; what is not there is fs.ErrNotExist.
	File func(pod *corev1.Pod, volume, path string) ([]byte, error)
}

// Environment is a container's variables by name, and what was skipped. A later one
// wins: services, then envFrom, then env, each in its order. A $(NAME) in env is one
// that stands before it. Names that no process can have are skipped, with a warning.
func Environment(ctx context.Context, pod *corev1.Pod, c *corev1.Container, from Sources) (map[string]string, []Warning, error) {
	env, warnings := maps.Clone(from.Services), []Warning(nil)
	if env == nil {
		env = map[string]string{}
	}
	for _, source := range c.EnvFrom {
		data, kind, name, err := allOf(ctx, pod, source, from.Objects)
		if err != nil {
			return nil, nil, err
		}
		var invalid []string
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if len(validation.IsRelaxedEnvVarName(source.Prefix+key)) > 0 {
				invalid = append(invalid, source.Prefix+key)
				continue
			}
			env[source.Prefix+key] = data[key]
		}
		if len(invalid) > 0 {
			warnings = append(warnings, Warning{"InvalidEnvironmentVariableNames", fmt.Sprintf(
				"Keys [%s] from the EnvFrom %s %s/%s were skipped since they are considered invalid environment variable names.",
				strings.Join(invalid, ", "), kind, pod.Namespace, name)})
		}
	}
	for _, e := range c.Env {
		value, missing, err := e.Value, false, error(nil)
		if value == "" && e.ValueFrom != nil {
			value, missing, err = valueFrom(ctx, pod, c, e.ValueFrom, from)
		} else {
			value = Expand(value, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		}
		if err != nil {
			return nil, nil, err
		}
		if !missing {
			env[e.Name] = value
		}
	}
	for name, value := range env {
		if strings.ContainsRune(value, 0) { // execve(2) would end it there
			return nil, nil, fmt.Errorf("environment variable %s has a NUL in its value", name)
		}
	}
	return env, warnings, nil
}

// allOf is what an envFrom source holds; nothing if it is optional and not there.
func allOf(ctx context.Context, pod *corev1.Pod, source corev1.EnvFromSource, objects ObjectGetter) (data map[string]string, kind, name string, err error) {
	var optional *bool
	switch {
	case source.ConfigMapRef != nil:
		kind, name, optional = "configMap", source.ConfigMapRef.Name, source.ConfigMapRef.Optional
		var m *corev1.ConfigMap
		if m, err = objects.ConfigMap(ctx, pod.Namespace, name); err == nil {
			data = m.Data
		}
	case source.SecretRef != nil:
		kind, name, optional = "secret", source.SecretRef.Name, source.SecretRef.Optional
		var s *corev1.Secret
		if s, err = objects.Secret(ctx, pod.Namespace, name); err == nil {
			data = map[string]string{}
			for key, value := range s.Data {
				data[key] = string(value)
			}
		}
	}
	if isTrue(optional) && apierrors.IsNotFound(err) {
		err = nil
	}
	return data, kind, name, err
}

// valueFrom is one variable's value; missing, if it is optional and not there.
func valueFrom(ctx context.Context, pod *corev1.Pod, c *corev1.Container, v *corev1.EnvVarSource, from Sources) (value string, missing bool, err error) {
	var found bool
	switch {
	case v.FieldRef != nil:
		switch v.FieldRef.FieldPath {
		case "metadata.labels", "metadata.annotations": // lines are no value of a variable
			return "", false, fmt.Errorf("unsupported fieldPath: %s", v.FieldRef.FieldPath)
		}
		value, err = Field(pod, v.FieldRef.FieldPath, from.Node, from.PodIPs)
		return value, false, err
	case v.ResourceFieldRef != nil:
		value, err = Resource(pod, c, v.ResourceFieldRef, from.Node)
		return value, false, err
	case v.ConfigMapKeyRef != nil:
		ref := v.ConfigMapKeyRef
		m, err := from.Objects.ConfigMap(ctx, pod.Namespace, ref.Name)
		if err == nil {
			value, found = m.Data[ref.Key]
		}
		return keyOf(value, found, err, isTrue(ref.Optional), fmt.Sprintf("%s in ConfigMap %s/%s", ref.Key, pod.Namespace, ref.Name))
	case v.SecretKeyRef != nil:
		ref := v.SecretKeyRef
		s, err := from.Objects.Secret(ctx, pod.Namespace, ref.Name)
		if err == nil {
			var data []byte
			data, found = s.Data[ref.Key]
			value = string(data)
		}
		return keyOf(value, found, err, isTrue(ref.Optional), fmt.Sprintf("%s in Secret %s/%s", ref.Key, pod.Namespace, ref.Name))
	case v.FileKeyRef != nil:
		ref := v.FileKeyRef
		b, err := from.File(pod, ref.VolumeName, ref.Path)
		if err == nil {
			value, found, err = envFile(string(b), ref.Key)
		}
		if errors.Is(err, fs.ErrNotExist) && isTrue(ref.Optional) {
			err = nil
		} else if err != nil {
			err = fmt.Errorf("file %s of volume %s: %w", ref.Path, ref.VolumeName, err)
		}
		return keyOf(value, found, err, isTrue(ref.Optional), fmt.Sprintf("%s in file %s of volume %s", ref.Key, ref.Path, ref.VolumeName))
	}
	return "", true, nil // Unsupported reports it
}

// keyOf is the value of a key that was looked up. Only what is not there may be optional.
func keyOf(value string, found bool, err error, optional bool, what string) (string, bool, error) {
	switch {
	case found:
		return value, false, nil
	case optional && (err == nil || apierrors.IsNotFound(err)):
		return "", true, nil
	case err != nil:
		return "", false, err
	}
	return "", false, fmt.Errorf("couldn't find key %s", what)
}

// list is an environment as a process has it, in the order of its names.
func list(env map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }
