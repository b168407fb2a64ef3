package spec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "1", "B": "$(A)", "": "empty", "A B": "2"}
	for in, want := range map[string]string{ // pkg third_party/forked/golang/expansion/expand_test.go
		"$(A)": "1", "-$(A)-$(A)": "-1-1", "$(B)": "$(A)", "$$(A)": "$(A)", "$$$(A)": "$1", "$$$$(A)": "$$(A)",
		"$(NONE)": "$(NONE)", "$(A": "$(A", "$A": "$A", "$": "$", "$$": "$", "$(": "$(", "$()": "empty", "a$": "a$", "$(A B)": "2",
		"$($(A))": "$($(A))", "$(A)$": "1$", "$-$(A)": "$-1", "$)$(A)": "$)1", "": "",
	} {
		got := Expand(in, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		check.Equal(t, "Expand of "+in, want, got)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$$", "$(A)$(B)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		Expand(s, func(string) (string, bool) { return "", false })
		// With $ for $$, any text can be written.
		got := Expand(strings.ReplaceAll(s, "$", "$$"), func(string) (string, bool) { return "x", true })
		check.Equal(t, "Expand of an escaped text", s, got)
	})
}

func TestEnvironment_FromEverySource(t *testing.T) {
	exercise.NeedAll(t)
	pod := one(t, `
    resources: {limits: {cpu: 250m}, requests: {memory: 100Mi}},
    envFrom: [{configMapRef: {name: conf}}, {secretRef: {name: key}, prefix: S_}, {configMapRef: {name: none, optional: true}}, {secretRef: {name: none, optional: true}}],
    env: [{name: FIRST, value: "$(LATER) $(host)"}, {name: LATER, value: "$$(host) $(SVC)"}, {name: host, value: "mine"}, {name: URL, value: "$(host):$(port)"},
      {name: CM, valueFrom: {configMapKeyRef: {name: conf, key: port}}}, {name: SEC, valueFrom: {secretKeyRef: {name: key, key: pass}}},
      {name: OPT, valueFrom: {configMapKeyRef: {name: conf, key: none, optional: true}}}, {name: OPT2, valueFrom: {secretKeyRef: {name: none, key: x, optional: true}}},
      {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, {name: ID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}},
      {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}, {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}},
      {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: SA, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}},
      {name: HIP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}, {name: HIPS, valueFrom: {fieldRef: {fieldPath: status.hostIPs}}},
      {name: PIP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: PIPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}},
      {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}, {name: MCPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}},
      {name: MEM, valueFrom: {resourceFieldRef: {resource: requests.memory, divisor: 1Mi}}}, {name: LMEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Gi}}}]`,
		"serviceAccountName: robot")
	from := sources(t)
	from.Services = map[string]string{"SVC": "svc", "port": "hidden"}
	env, warnings, err := Environment(t.Context(), pod, &pod.Spec.Containers[0], from)
	check.NoError(t, "Environment", err)
	check.Equal(t, "the environment", `$(host)=yes! CM=5432 CPU=1 FIRST=$(LATER) db HIP=192.0.2.7 HIPS=192.0.2.7,2001:db8::7 ID=u-1 LABEL=web LATER=$(host) svc LMEM=1 MCPU=250 MEM=100 NAME=web NODE=n1 NOTE=hi NS=shop PIP=10.0.0.2 PIPS=10.0.0.2,fd00::2 SA=robot SEC=word$(host) SVC=svc S_pass=word$(host) URL=mine:5432 host=mine port=5432`,
		strings.Join(list(env), " "))
	check.Equal(t, "what was skipped", `[{InvalidEnvironmentVariableNames Keys [bad=key] from the EnvFrom configMap shop/conf were skipped since they are considered invalid environment variable names.}]`, fmt.Sprint(warnings))
}

func TestEnvironment_Refuses(t *testing.T) {
	exercise.NeedAll(t)
	for fields, want := range map[string]string{
		"envFrom: [{configMapRef: {name: none}}]":                                      `configmap "none" not found`,
		"envFrom: [{secretRef: {name: none}}]":                                         `secret "none" not found`,
		"env: [{name: A, valueFrom: {configMapKeyRef: {name: conf, key: q}}}]":         "couldn't find key q in ConfigMap shop/conf",
		"env: [{name: A, valueFrom: {secretKeyRef: {name: key, key: q}}}]":             "couldn't find key q in Secret shop/key",
		"env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.hostname}}}]":          "unsupported fieldPath: spec.hostname",
		"env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]":        "unsupported fieldPath: metadata.labels",
		"env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"spec.nodeName['x']\"}}}]": "does not support subscript",
		"env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.bananas}}}]":  "unsupported container resource : limits.bananas",
		`env: [{name: A, value: "a\0b"}]`:                                              "NUL",
	} {
		pod := one(t, fields)
		_, _, err := Environment(t.Context(), pod, &pod.Spec.Containers[0], sources(t))
		check.ErrorHas(t, "Environment of "+fields, err, []string{want})
	}
	// Optional is what is not there, not what cannot be asked for.
	pod := one(t, "env: [{name: A, valueFrom: {secretKeyRef: {name: key, key: q, optional: true}}}]")
	from := sources(t)
	dir := t.TempDir()
	check.NoError(t, "write", os.WriteFile(filepath.Join(dir, "x"), nil, 0o644))
	from.Objects = NewDir(filepath.Join(dir, "x"))
	_, _, err := Environment(t.Context(), pod, &pod.Spec.Containers[0], from)
	check.ErrorHas(t, "Environment where objects cannot be read", err, []string{`secret "key"`, "not a directory"})
}

func TestEnvironment_FromAFile(t *testing.T) {
	exercise.NeedAll(t)
	from := sources(t)
	var text string
	from.File = func(_ *corev1.Pod, volume, path string) ([]byte, error) {
		if path != "f" || volume != "v" {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}
	for _, c := range []struct{ text, ref, want string }{
		{"# x\n\n  K='a b=\\n$(Q)#'  # y\nK='second'\n", "path: f, key: K", "[K=a b=\\n$(Q)#]"},
		{"A='1\n2'\nK=''", "path: f, key: K", "[K=]"},
		{"A='1\n2'\nK=''", "path: f, key: A", "[K=1\n2]"},
		{"A='1'", "path: f, key: K, optional: true", "[]"},
		{"", "path: g, key: K, optional: true", "[]"},
		{"A='1'", "path: f, key: K", "couldn't find key K in file f of volume v"},
		{"", "path: g, key: K", "file g of volume v: file does not exist"},
		{"K='1'\nA=1", "path: f, key: K, optional: true", "file f of volume v: line 2: want KEY='VALUE'"},
		{"A='1\n\nK='2", "path: f, key: K", `line 3: "2" after the value of A`},
		{"K='1", "path: f, key: K", "the value of K has no end"},
	} {
		text = c.text
		pod := one(t, "env: [{name: K, valueFrom: {fileKeyRef: {volumeName: v, "+c.ref+"}}}]")
		env, _, err := Environment(t.Context(), pod, &pod.Spec.Containers[0], from)
		if err != nil {
			check.ErrorHas(t, "Environment of "+c.text, err, []string{c.want})
			continue
		}
		check.Equal(t, "Environment of "+c.text, c.want, fmt.Sprint(list(env)))
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A='1'\n#\nB='\n'")
	f.Fuzz(func(t *testing.T, text string) {
		if value, found, err := envFile(text, "A"); err == nil && found {
			again, _, err := envFile("A='"+value+"'", "A")
			check.NoError(t, "read it back", err)
			check.Equal(t, "read it back", value, again)
		}
	})
}

func TestDir_FollowsItsFiles(t *testing.T) {
	exercise.NeedAll(t)
	path := t.TempDir()
	d := NewDir(filepath.Join(path, "later"))
	_, err := d.ConfigMap(t.Context(), "shop", "conf")
	check.True(t, "ask a folder that is not there", apierrors.IsNotFound(err), check.Error(err), "not found")
	check.NoError(t, "mkdir", os.Mkdir(d.path, 0o755))
	file := filepath.Join(d.path, "a.yaml")
	check.NoError(t, "write", os.WriteFile(file, []byte(theObjects), 0o644))
	m, err := d.ConfigMap(t.Context(), "shop", "conf")
	check.NoError(t, "ConfigMap", err)
	check.Equal(t, "its data", "db", m.Data["host"])
	s, err := d.Secret(t.Context(), "shop", "key")
	check.NoError(t, "Secret", err)
	check.Equal(t, "its data", "word$(host)", string(s.Data["pass"]))
	_, err = d.ConfigMap(t.Context(), "default", "conf")
	check.True(t, "ask in another namespace", apierrors.IsNotFound(err), check.Error(err), "not found")

	check.NoError(t, "write", os.WriteFile(file, []byte(strings.ReplaceAll(theObjects, "host: db", "host: eb")), 0o644))
	check.NoError(t, "date", os.Chtimes(file, time.Time{}, time.Unix(1e9, 0)))
	m, err = d.ConfigMap(t.Context(), "shop", "conf")
	check.NoError(t, "ConfigMap after a change", err)
	check.Equal(t, "its data", "eb", m.Data["host"])

	check.NoError(t, "write", os.WriteFile(file, []byte("kind: Door"), 0o644))
	_, err = d.ConfigMap(t.Context(), "shop", "conf")
	check.ErrorHas(t, "ConfigMap of a file that is broken", err, []string{`configmap "conf" not found`, "a.yaml", "Door"})
	check.NoError(t, "remove", os.Remove(file))
	_, err = d.ConfigMap(t.Context(), "shop", "conf")
	check.True(t, "ask for what was removed", apierrors.IsNotFound(err) && !errors.Is(err, os.ErrNotExist), check.Error(err), "not found")
}
