package pod

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// honoured lists, by type, the fields that this node honours. A type that is not in it is
// honoured as a whole where the field that has it is. So a field that Kubernetes adds
// one day is reported until somebody writes it here: nothing is dropped in silence.
var honoured = map[string]string{
	"PodSpec": "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds " +
		"dnsPolicy dnsConfig nodeName hostNetwork hostPID hostIPC shareProcessNamespace securityContext imagePullSecrets hostname subdomain " +
		"hostAliases readinessGates enableServiceLinks overhead os hostUsers resources priorityClassName",
	"PodSecurityContext": "runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy fsGroup fsGroupChangePolicy sysctls seccompProfile",
	"PodOS":              "name",

	"Container": "name image command args workingDir ports envFrom env resources restartPolicy restartPolicyRules volumeMounts livenessProbe " +
		"readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty",
	"SecurityContext":      "capabilities privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile",
	"ContainerRestartRule": "action exitCodes",
	"EnvVarSource":         "fieldRef resourceFieldRef configMapKeyRef secretKeyRef fileKeyRef",
	"ResourceRequirements": "limits requests",
	"VolumeMount":          "name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr",
	"ContainerPort":        "name hostPort containerPort protocol hostIP",
	"EphemeralContainer":   "targetContainerName",

	"VolumeSource":                  "hostPath emptyDir secret downwardAPI configMap projected image",
	"EmptyDirVolumeSource":          "medium sizeLimit",
	"SecretVolumeSource":            "secretName items defaultMode optional",
	"ConfigMapVolumeSource":         "name items defaultMode optional",
	"DownwardAPIVolumeSource":       "items defaultMode",
	"DownwardAPIVolumeFile":         "path fieldRef resourceFieldRef mode",
	"KeyToPath":                     "key path mode",
	"ProjectedVolumeSource":         "sources defaultMode",
	"VolumeProjection":              "secret downwardAPI configMap serviceAccountToken",
	"ServiceAccountTokenProjection": "audience expirationSeconds path",
}

// elsewhere are fields that others honour, before a pod comes to a node: the scheduler,
// the API server. Nobody has done so for a static pod.
var elsewhere = map[string]string{
	"PodSpec": "nodeSelector affinity schedulerName tolerations topologySpreadConstraints schedulingGates priority preemptionPolicy " +
		"serviceAccountName serviceAccount automountServiceAccountToken",
	"VolumeProjection": "serviceAccountToken",
}

// values are those that are honoured of fields with more of them.
var values = map[string]string{
	"PodOS.name":                  "linux",
	"ContainerRestartRule.action": "Restart",
	"EmptyDirVolumeSource.medium": "Memory",
	"ContainerPort.protocol":      "TCP UDP SCTP",
	"ResourceList":                "cpu memory",
}

// Unsupported lists the fields that are set in a pod's spec and honoured by nobody, as
// paths with their values where it is these that are not: "spec.runtimeClassName",
// "spec.os.name=windows". The agent reports them on the pod, as a condition and an
// event; the rest of the pod runs. static says that the pod did not come from an API server.
func Unsupported(pod *corev1.Pod, static bool) []string {
	w := walk{static: static}
	w.value(reflect.ValueOf(pod.Spec), "spec", "PodSpec")
	return w.found
}

type walk struct {
	static bool
	found  []string
}

func (w *walk) value(v reflect.Value, path, owner string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.value(v.Elem(), path, owner)
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.value(v.Index(i), fmt.Sprintf("%s[%d]", path, i), owner)
		}
	case reflect.Map:
		if list, ok := v.Interface().(corev1.ResourceList); ok {
			w.resources(list, path)
		}
	case reflect.Struct:
		if _, leaf := v.Interface().(resource.Quantity); !leaf {
			w.fields(v, path, v.Type().Name())
		}
	case reflect.String:
		if allowed, ok := values[owner]; ok && v.String() != "" && !listed(allowed, v.String()) {
			w.found = append(w.found, path+"="+v.String())
		}
	}
}

// fields looks at every field that is set. Embedded structs have no name of their own in
// JSON; they are types of the table as the others are, but for Container's twin.
func (w *walk) fields(v reflect.Value, path, owner string) {
	if owner == "EphemeralContainerCommon" {
		owner = "Container"
	}
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		if !field.IsExported() || f.IsZero() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" {
			w.value(f, path, field.Type.Name())
			continue
		}
		at := path + "." + name
		table, known := honoured[owner]
		theirs := listed(elsewhere[owner], name)
		if (known && !listed(table, name) && !theirs || theirs && w.static) && !isDefault(owner, name, f) {
			w.found = append(w.found, at)
			continue
		}
		w.value(f, at, owner+"."+name)
	}
}

func (w *walk) resources(list corev1.ResourceList, path string) {
	for name := range list {
		if !listed(values["ResourceList"], string(name)) {
			w.found = append(w.found, path+"["+string(name)+"]")
		}
	}
	slices.Sort(w.found[max(0, len(w.found)-len(list)):])
}

// isDefault says whether a field holds what Defaults gave it, which asks for nothing.
func isDefault(owner, name string, v reflect.Value) bool {
	return owner == "PodSpec" && name == "schedulerName" && v.String() == corev1.DefaultSchedulerName
}

func listed(words, word string) bool {
	return slices.Contains(strings.Fields(words), word)
}
