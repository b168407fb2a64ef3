package spec

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod"
)

// Volumes knows where the volumes of a pod are; package volume does.
type Volumes interface {
	// Mounts are those of a container; env is for subPathExpr.
	Mounts(ctx context.Context, pod *corev1.Pod, c *corev1.Container, env map[string]string) ([]driver.Mount, error)
}

// Input is what is known when a container is to be created.
type Input struct {
	Sources
	Volumes     Volumes
	Image       driver.Image
	Attempt     int
	LogPath     string // below the sandbox's LogDir
	MessageFile string // where the termination message goes, on the node; it is made
}

// Container is what the driver is told to create.
func Container(ctx context.Context, p *corev1.Pod, c *corev1.Container, in Input) (driver.ContainerConfig, []Warning, error) {
	none := driver.ContainerConfig{}
	security, err := Security(p, c, in.Image.User, in.Node)
	if err != nil {
		return none, nil, err
	}
	env, warnings, err := Environment(ctx, p, c, in.Sources)
	if err != nil {
		return none, nil, err
	}
	mounts, err := in.Volumes.Mounts(ctx, p, c, env)
	if err != nil {
		return none, nil, err
	}
	if c.TerminationMessagePath != "" && in.MessageFile != "" {
		if err := MakeMessageFile(in.MessageFile); err != nil {
			return none, nil, fmt.Errorf("termination message of container %s: %w", c.Name, err)
		}
		mounts = append(mounts, driver.Mount{Source: in.MessageFile, Target: path.Join("/", c.TerminationMessagePath)})
	}
	// What is mounted below another goes on top of it.
	slices.SortStableFunc(mounts, func(a, b driver.Mount) int { return depth(a.Target) - depth(b.Target) })

	config := driver.ContainerConfig{
		Name: c.Name, Attempt: in.Attempt, Image: in.Image.ID,
		Command: expandAll(c.Command, env), Args: expandAll(c.Args, env), Env: list(env), Dir: c.WorkingDir,
		Labels: map[string]string{
			pod.LabelName: p.Name, pod.LabelNamespace: p.Namespace, pod.LabelUID: string(p.UID), pod.LabelContainer: c.Name,
		},
		Annotations: map[string]string{pod.AnnotationHash: pod.Hash(c)},
		Mounts:      mounts, LogPath: in.LogPath,
		Stdin: c.Stdin, StdinOnce: c.StdinOnce, TTY: c.TTY,
		Resources: pod.ContainerResources(p, c, in.Node.Memory), Security: security,
	}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		config.StopSignal = string(*c.Lifecycle.StopSignal)
	}
	return config, warnings, nil
}

func depth(target string) int { return strings.Count(path.Join("/", target), "/") }
