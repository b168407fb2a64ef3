package pod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions sets those that are the node's to set; those of others stay as they are
// (pkg/kubelet/status/generate.go).
func conditions(pod *corev1.Pod, k Known, s *corev1.PodStatus) {
	over := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	sandbox := k.Sandbox()

	var unready, incomplete []string
	for i, c := range s.InitContainerStatuses {
		if IsSidecar(&pod.Spec.InitContainers[i]) {
			if c.Started == nil || !*c.Started {
				incomplete = append(incomplete, c.Name)
			}
			if !c.Ready {
				unready = append(unready, c.Name)
			}
		} else if !c.Ready {
			incomplete = append(incomplete, c.Name)
		}
	}
	for _, c := range s.ContainerStatuses {
		if c.State.Running != nil || lastExit(c) != nil {
			incomplete = nil // its turn came, so all init containers had theirs
		}
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}

	initialized := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	switch {
	case s.Phase == corev1.PodSucceeded:
		initialized.Reason = "PodCompleted"
	case len(incomplete) > 0:
		initialized.Status, initialized.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		initialized.Message = fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " "))
	}

	all := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	switch {
	case s.Phase == corev1.PodSucceeded:
		all.Status, all.Reason = corev1.ConditionFalse, "PodCompleted"
	case s.Phase == corev1.PodFailed:
		all.Status, all.Reason = corev1.ConditionFalse, "PodFailed"
	case len(unready) > 0:
		all.Status, all.Reason = corev1.ConditionFalse, "ContainersNotReady"
		all.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}

	ready := all
	ready.Type = corev1.PodReady
	if ready.Status == corev1.ConditionTrue {
		var lacking []string
		for _, gate := range pod.Spec.ReadinessGates {
			if c := condition(s, gate.ConditionType); c == nil {
				lacking = append(lacking, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
			} else if c.Status != corev1.ConditionTrue {
				lacking = append(lacking, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %s", gate.ConditionType, c.Status))
			}
		}
		if len(lacking) > 0 {
			ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(lacking, ", ")
		}
	}

	network := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	if sandbox != nil && sandbox.Ready && !over {
		network.Status = corev1.ConditionTrue
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}
	for _, c := range []corev1.PodCondition{network, initialized, ready, all, scheduled} {
		set(pod, k, s, c)
	}
}

// condition finds one by type.
func condition(s *corev1.PodStatus, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// set replaces a condition. Its time is when its status changed last, not its reason.
func set(pod *corev1.Pod, k Known, s *corev1.PodStatus, c corev1.PodCondition) {
	c.ObservedGeneration = pod.Generation
	c.LastTransitionTime = metav1.Time{Time: k.Now}
	old := condition(s, c.Type)
	if old == nil {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
}
