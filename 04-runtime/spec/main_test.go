package spec

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"coracle/04-runtime/driver"
	podpkg "coracle/04-runtime/pod"
	"coracle/internal/check"
)

// objects are an ObjectGetter of manifests.
type objects struct{ podpkg.Manifests }

func (o objects) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	for _, m := range o.ConfigMaps {
		if m.Namespace == namespace && m.Name == name {
			return m, nil
		}
	}
	return nil, NotFound("configmap", name)
}

func (o objects) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	for _, s := range o.Secrets {
		if s.Namespace == namespace && s.Name == name {
			return s, nil
		}
	}
	return nil, NotFound("secret", name)
}

const theObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {host: db, "bad=key": x, port: "5432", "$(host)": yes!}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {pass: word$(host)}
`

func sources(t testing.TB) Sources {
	t.Helper()
	m, err := podpkg.Decode([]byte(theObjects))
	check.NoError(t, "Decode", err)
	return Sources{Objects: objects{m}, PodIPs: []string{"10.0.0.2", "fd00::2"}, Node: Node{
		Name: "n1", IPs: []string{"192.0.2.7", "2001:db8::7"}, Memory: 1 << 30,
		Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Gi")},
	}}
}

// manifest reads a pod with this spec.
func manifest(t testing.TB, spec string) *corev1.Pod {
	t.Helper()
	m, err := podpkg.Decode([]byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, uid: u-1, labels: {app: web, b: \"x\\ny\"}, annotations: {note: hi}}\nspec:\n  " +
		strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")))
	check.NoError(t, "read the manifest", err)
	return m.Pods[0]
}

// one is a pod of one container with these fields.
func one(t testing.TB, fields string, more ...string) *corev1.Pod {
	t.Helper()
	return manifest(t, strings.Join(append(more, "containers: [{name: c, image: x, "+fields+"}]"), "\n"))
}

// noVolumes are the volumes of a pod that has none.
type noVolumes []driver.Mount

func (m noVolumes) Mounts(context.Context, *corev1.Pod, *corev1.Container, map[string]string) ([]driver.Mount, error) {
	return m, nil
}
