package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	podpkg "coracle/04-runtime/pod"
	"coracle/04-runtime/spec"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"

	"github.com/moby/sys/mountinfo"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime/volume"}))
}

// objects are ConfigMaps and Secrets by "namespace/name".
type objects struct {
	maps    map[string]map[string]string
	secrets map[string]map[string]string
}

func (o objects) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	data, ok := o.maps[namespace+"/"+name]
	if !ok {
		return nil, spec.NotFound("configmap", name)
	}
	return &corev1.ConfigMap{Data: data, BinaryData: map[string][]byte{}}, nil
}

func (o objects) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	data, ok := o.secrets[namespace+"/"+name]
	if !ok {
		return nil, spec.NotFound("secret", name)
	}
	s := &corev1.Secret{Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s, nil
}

// begin is the node of a test. It checks at the end that nothing is mounted that was not before.
func begin(t testing.TB) (*Volumes, objects) {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t)
	before := mounts(t)
	o := objects{map[string]map[string]string{}, map[string]map[string]string{}}
	v := &Volumes{Dir: filepath.Join(t.TempDir(), "pods"), Objects: o, Node: spec.Node{Name: "n1", Memory: 64 << 20}, RecursiveReadonly: true,
		ImageID: func(context.Context, *corev1.Pod, *corev1.Volume) (string, error) { return "sha256:1", nil }}
	t.Cleanup(func() {
		uids, err := v.Pods()
		check.NoError(t, "Pods", err)
		for _, uid := range uids {
			check.NoError(t, "TearDown", v.TearDown(uid))
			check.NoError(t, "TearDown once more", v.TearDown(uid))
		}
		check.Equal(t, "mounts after the test", before, mounts(t))
		left, _ := v.Pods()
		check.Equal(t, "folders after the test", 0, len(left))
	})
	return v, o
}

func mounts(t testing.TB) string {
	t.Helper()
	all, err := mountinfo.GetMounts(nil)
	check.NoError(t, "read the mounts", err)
	var names []string
	for _, m := range all {
		names = append(names, m.Mountpoint)
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// manifest reads a pod whose container c mounts its volumes, which are given, at /NAME.
func manifest(t testing.TB, volumes string, more ...string) *corev1.Pod {
	t.Helper()
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, uid: u-1, labels: {app: web}}\nspec:\n  volumes: " + volumes +
		"\n  " + strings.Join(more, "\n  ") + "\n  containers: [{name: c, image: x, resources: {limits: {memory: 32Mi}}}]\n"
	m, err := podpkg.Decode([]byte(text))
	check.NoError(t, "read the manifest", err)
	pod := m.Pods[0]
	for _, vol := range pod.Spec.Volumes {
		pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: vol.Name, MountPath: "/" + vol.Name})
	}
	return pod
}

func setUp(t testing.TB, v *Volumes, pod *corev1.Pod) {
	t.Helper()
	check.NoError(t, "SetUp", v.SetUp(t.Context(), pod))
}

// at is where the container finds a volume's files, on the node.
func at(t testing.TB, v *Volumes, pod *corev1.Pod, volume string, path ...string) string {
	t.Helper()
	all, err := v.Mounts(t.Context(), pod, &pod.Spec.Containers[0], nil)
	check.NoError(t, "Mounts", err)
	for _, m := range all {
		if m.Target == "/"+volume {
			return filepath.Join(append([]string{m.Source}, path...)...)
		}
	}
	t.Fatalf("no mount on /%s", volume)
	return ""
}

// tree shows what a container sees of a folder: "a=text:0644 …", no names that begin with "..".
func tree(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	var walk func(rel string)
	walk = func(rel string) {
		entries, err := os.ReadDir(filepath.Join(dir, rel))
		check.NoError(t, "list", err)
		for _, e := range entries {
			path := filepath.Join(rel, e.Name())
			if strings.HasPrefix(path, "..") {
				continue
			}
			fi, err := os.Stat(filepath.Join(dir, path))
			check.NoError(t, "stat", err)
			if fi.IsDir() {
				walk(path)
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, path))
			check.NoError(t, "read", err)
			out = append(out, fmt.Sprintf("%s=%s:%04o", path, b, fi.Mode().Perm()))
		}
	}
	walk("")
	slices.Sort(out)
	return strings.Join(out, " ")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	check.NoError(t, "make the folder", os.MkdirAll(filepath.Dir(path), 0o755))
	check.NoError(t, "write", os.WriteFile(path, []byte(text), 0o644))
}
