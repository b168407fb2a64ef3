package pod

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"coracle/internal/check"
)

const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"

func TestDecode(t *testing.T) {
	m, err := Decode([]byte("# a comment\n---\n" + head + "spec: {" + plain + "}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n---\n" +
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n"},"data":{"a":"Yg=="},"stringData":{"k":"v"}}`))
	check.NoError(t, "Decode", err)
	check.Equal(t, "what was in it", "[web default c default s n]", fmt.Sprint([]string{m.Pods[0].Name, m.Pods[0].Namespace, m.ConfigMaps[0].Name, m.ConfigMaps[0].Namespace, m.Secrets[0].Name, m.Secrets[0].Namespace}))
	check.Equal(t, "the secret", "map[a:b k:v]", fmt.Sprintf("%s", m.Secrets[0].Data))
}

func TestDecode_Refuses(t *testing.T) {
	container := func(fields string) string {
		return head + "spec: {containers: [{name: a, image: x, " + fields + "}], volumes: [{name: v}]}"
	}
	for text, want := range map[string]string{
		strings.Repeat("#", MaxManifest+1):      "1048577 bytes",
		head + "spec: [":                        "document 1",
		"kind: Pod":                             `kind "Pod" of apiVersion ""`,
		"apiVersion: apps/v1\nkind: Deployment": `kind "Deployment"`,
		"[1, 2]":                                "document 1",
		head + "spec: {}":                       "spec.containers: Required value",
		head + "spec: {containerz: []}":         `unknown field "spec.containerz"`,
		head + "spec: {" + plain + ", hostNetwork: true, hostNetwork: false}":                                        "hostNetwork",
		container("livenesProbe: {}"):                                                                                `unknown field "spec.containers[0].livenesProbe"`,
		container("Ports: []"):                                                                                       `unknown field "spec.containers[0].Ports"`,
		container("command: true"):                                                                                   "command",
		container("ports: [{containerPort: 0}]"):                                                                     "spec.containers[0].ports[0].containerPort",
		container("ports: [{containerPort: 70000}]"):                                                                 "must be between 1 and 65535",
		container("ports: [{containerPort: 1, hostPort: 8}, {containerPort: 2, hostPort: 8}]"):                       "spec.containers[0].ports[1].hostPort: Duplicate value",
		container("volumeMounts: [{name: w, mountPath: /w}]"):                                                        `spec.containers[0].volumeMounts[0].name: Not found: "w"`,
		container("volumeMounts: [{name: v, mountPath: /w, subPath: a/../../b}]"):                                    "must not contain '..'",
		container("volumeMounts: [{name: v, mountPath: /w, subPath: /etc}]"):                                         "must be a relative path",
		container("livenessProbe: {periodSeconds: 3}"):                                                               "spec.containers[0].livenessProbe: Invalid value: \"\": must specify exactly one handler type",
		container("livenessProbe: {successThreshold: 2, exec: {command: [x]}}"):                                      "must be 1",
		container("livenessProbe: {httpGet: {}}"):                                                                    "httpGet.port",
		container("readinessProbe: {periodSeconds: -1, exec: {command: [x]}}"):                                       "greater than or equal to 0",
		container("resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}"):                                     "must be less than or equal to memory limit of 1Gi",
		container("resources: {requests: {memory: -1}}"):                                                             "must be greater than or equal to 0",
		container("resources: {requests: {memory: lots}}"):                                                           "quantities must match",
		container("imagePullPolicy: Sometimes"):                                                                      `Unsupported value: "Sometimes"`,
		container("restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}]"):                 "must specify `restartPolicy`",
		container("securityContext: {runAsUser: -1}"):                                                                "between 0 and 2147483647",
		container("securityContext: {privileged: true, allowPrivilegeEscalation: false}"):                            "allowPrivilegeEscalation",
		container("env: [{name: 'A=B'}]"):                                                                            "spec.containers[0].env[0].name",
		head + "spec: {containers: [{name: a, image: x}, {name: a, image: x}]}":                                      `spec.containers[1].name: Duplicate value: "a"`,
		head + "spec: {containers: [{name: A_b, image: x}]}":                                                         "spec.containers[0].name",
		head + "spec: {containers: [{name: a}]}":                                                                     "spec.containers[0].image: Required",
		head + "spec: {volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}], " + plain + "}":                      "exactly one volume type",
		head + "spec: {volumes: [{name: v, hostPath: {path: /a/../b}}], " + plain + "}":                              "not contain '..'",
		head + "spec: {volumes: [{name: v, secret: {secretName: s, items: [{key: k, path: ../x}]}}], " + plain + "}": "must not contain '..'",
		head + "spec: {hostUsers: false, hostNetwork: true, " + plain + "}":                                          "spec.hostNetwork: Forbidden",
		head + "spec: {restartPolicy: Sometimes, " + plain + "}":                                                     "spec.restartPolicy",
		head + "spec: {terminationGracePeriodSeconds: -3, " + plain + "}":                                            "spec.terminationGracePeriodSeconds",
		head + "spec: {initContainers: [{name: i, image: x, livenessProbe: {exec: {command: [x]}}}], " + plain + "}": "spec.initContainers[0].livenessProbe: Forbidden",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: ../etc}\nspec: {" + plain + "}":                                 "metadata.name",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ../etc}\nspec: {" + plain + "}":                   "metadata.namespace",
	} {
		_, err := Decode([]byte(text))
		check.ErrorHas(t, "Decode of "+text[:min(len(text), 200)], err, []string{want})
	}
}

func TestDefaults(t *testing.T) {
	pod := manifest(t, `hostNetwork: true
containers:
- {name: a, image: x, ports: [{containerPort: 80}], livenessProbe: {httpGet: {port: 80}}, resources: {limits: {cpu: 1}}}
- {name: b, image: 'x:1', imagePullPolicy: Always}
- {name: c, image: 'reg:5000/x:1'}
- {name: d, image: 'x@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
- {name: e, image: 'reg:5000/x'}
volumes: [{name: v}, {name: s, secret: {secretName: s}}]`)
	a := pod.Spec.Containers[0]
	var policies []string
	for _, c := range pod.Spec.Containers {
		policies = append(policies, string(c.ImagePullPolicy))
	}
	check.Equal(t, "imagePullPolicy", "[Always Always IfNotPresent IfNotPresent Always]", fmt.Sprint(policies))
	p := a.LivenessProbe
	check.Equal(t, "the probe", "1 10 1 3 / HTTP", fmt.Sprint(p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold, " ", p.HTTPGet.Path, " ", p.HTTPGet.Scheme))
	check.Equal(t, "the port", "TCP 80", fmt.Sprint(a.Ports[0].Protocol, " ", a.Ports[0].HostPort))
	check.Equal(t, "the request", "1", a.Resources.Requests.Cpu().String())
	check.True(t, "the volume", pod.Spec.Volumes[0].EmptyDir != nil && *pod.Spec.Volumes[1].Secret.DefaultMode == 0o644, fmt.Sprint(pod.Spec.Volumes), "an emptyDir and a mode of 0644")
	check.Equal(t, "the pod", "Always ClusterFirst 30", fmt.Sprint(pod.Spec.RestartPolicy, " ", pod.Spec.DNSPolicy, " ", *pod.Spec.TerminationGracePeriodSeconds))
	again := pod.DeepCopy()
	Defaults(again)
	check.Equal(t, "defaults of what has them", pod, again)
}

func TestUnsupported(t *testing.T) {
	for _, c := range []struct {
		spec, node, static string
	}{
		{plain, "[]", "[]"},
		{sidecars, "[]", "[]"},
		{hooked, "[]", "[]"},
		{"runtimeClassName: kata\n" + plain, "[spec.runtimeClassName]", "[spec.runtimeClassName]"},
		{"nodeSelector: {disk: ssd}\n" + plain, "[]", "[spec.nodeSelector]"},
		{"os: {name: windows}\n" + plain, "[spec.os.name=windows]", "[spec.os.name=windows]"},
		{"os: {name: linux}\n" + plain, "[]", "[]"},
		{"containers: [{name: a, image: x, resources: {limits: {example.com/gpu: 1, cpu: 1}}}]", "[spec.containers[0].resources.limits[example.com/gpu] spec.containers[0].resources.requests[example.com/gpu]]", ""},
		{"containers: [{name: a, image: x, resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}]", "[spec.containers[0].resizePolicy]", ""},
		{"initContainers: [{name: i, image: x, securityContext: {seLinuxOptions: {type: t}}}]\n" + plain, "[spec.initContainers[0].securityContext.seLinuxOptions]", ""},
		{"volumes: [{name: v, emptyDir: {}}, {name: w, nfs: {server: s, path: /p}}, {name: h, emptyDir: {medium: HugePages}}]\n" + plain, "[spec.volumes[1].nfs spec.volumes[2].emptyDir.medium=HugePages]", ""},
		{"volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]\n" + plain, "[]", "[spec.volumes[0].projected.sources[0].serviceAccountToken]"},
		{plain + "\nephemeralContainers: [{name: d, image: x, targetContainerName: a, volumeDevices: [{name: v, devicePath: /d}]}]", "[spec.ephemeralContainers[0].volumeDevices]", ""},
		{"containers: [{name: a, image: x, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]}]", "[spec.containers[0].restartPolicyRules[0].action=RestartAllContainers]", ""},
	} {
		pod := manifest(t, c.spec)
		check.Equal(t, "Unsupported of "+c.spec, c.node, fmt.Sprint(Unsupported(pod, false)))
		if c.static != "" {
			check.Equal(t, "Unsupported of the static pod "+c.spec, c.static, fmt.Sprint(Unsupported(pod, true)))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(head + "spec: {" + plain + "}"))
	f.Add([]byte(head + "spec:\n" + sidecars))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		for _, pod := range m.Pods {
			k := seen(0)
			if words(Decide(pod, k.Known)) == "" {
				t.Fatalf("nothing to do for a new pod: %s", data)
			}
			if s := Status(pod, k.Known, "coracle"); s.Phase != corev1.PodPending {
				t.Fatalf("a new pod is %s", s.Phase)
			}
			Unsupported(pod, true)
			QoS(pod)
		}
	})
}
