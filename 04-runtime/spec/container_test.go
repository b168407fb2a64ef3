package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"coracle/04-runtime/driver"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestContainer_AsThePodSays(t *testing.T) {
	exercise.NeedAll(t)
	pod := one(t, `command: ["/bin/$(WHO)"], args: ["$(NONE)", "$$(WHO)"], workingDir: /w, env: [{name: WHO, value: me}], stdin: true, stdinOnce: true, tty: true,
    resources: {limits: {cpu: 500m, memory: 64Mi}}, terminationMessagePath: /dev/log, lifecycle: {stopSignal: SIGUSR1}`, "os: {name: linux}")
	file := filepath.Join(t.TempDir(), "c", "0")
	config, warnings, err := Container(t.Context(), pod, &pod.Spec.Containers[0], Input{Sources: sources(t), Attempt: 3, LogPath: "c/3.log", MessageFile: file,
		Image: driver.Image{ID: "sha256:1"}, Volumes: noVolumes{{Source: "/b", Target: "/a/b"}, {Source: "/a", Target: "/a"}}})
	check.NoError(t, "Container", err)
	check.Equal(t, "warnings", 0, len(warnings))
	check.Equal(t, "program", "[/bin/me] [$(NONE) $(WHO)] [WHO=me] /w true true true SIGUSR1", fmt.Sprint(config.Command, config.Args, config.Env, " ", config.Dir, " ", config.Stdin, config.StdinOnce, config.TTY, " ", config.StopSignal))
	check.Equal(t, "name", "c 3 sha256:1 c/3.log", fmt.Sprint(config.Name, " ", config.Attempt, " ", config.Image, " ", config.LogPath))
	check.Equal(t, "labels", "map[io.kubernetes.container.name:c io.kubernetes.pod.name:web io.kubernetes.pod.namespace:shop io.kubernetes.pod.uid:u-1]", fmt.Sprint(config.Labels))
	check.Equal(t, "limits", "500 67108864 -997", fmt.Sprint(config.Resources.MilliCPULimit, config.Resources.MemoryLimit, config.Resources.OOMScoreAdj))
	var targets []string
	for _, m := range config.Mounts {
		targets = append(targets, m.Target)
	}
	check.Equal(t, "mounts, the outer first", "[/a /a/b /dev/log]", fmt.Sprint(targets))
	fi, err := os.Stat(file)
	check.NoError(t, "the message's file", err)
	check.Equal(t, "its mode", os.FileMode(0o666), fi.Mode())
}

func TestSecurity_Merged(t *testing.T) {
	exercise.NeedAll(t)
	dir := t.TempDir()
	check.NoError(t, "write", os.WriteFile(filepath.Join(dir, "p.json"), []byte(`{"defaultAction": "SCMP_ACT_ERRNO"}`), 0o644))
	check.NoError(t, "write", os.WriteFile(filepath.Join(dir, "empty.json"), []byte(`{}`), 0o644))
	check.NoError(t, "link", os.Symlink("/etc/passwd", filepath.Join(dir, "out.json")))
	for _, c := range []struct{ pod, container, image, want string }{
		{"", "", "", `{}`},
		{"runAsUser: 1, runAsGroup: 2, supplementalGroups: [3], fsGroup: 4, supplementalGroupsPolicy: Strict", "runAsUser: 5", "", `{"User":5,"Group":2,"Groups":[3,4],"StrictGroups":true}`},
		{"runAsUser: 1", "runAsUser: 0", "", `{"User":0}`},
		{"", "capabilities: {add: [CAP_NET_ADMIN, sys_time], drop: [ALL]}", "", `{"Add":["NET_ADMIN","SYS_TIME"],"Drop":["ALL"]}`},
		{"", "privileged: true, readOnlyRootFilesystem: true", "", `{"Privileged":true,"ReadonlyRoot":true}`},
		{"", "allowPrivilegeEscalation: false", "", `{"NoNewPrivs":true}`},
		{"", "allowPrivilegeEscalation: true", "", `{}`},
		{"seccompProfile: {type: Unconfined}", "", "", `{"Unconfined":true}`},
		{"seccompProfile: {type: Unconfined}", "seccompProfile: {type: RuntimeDefault}", "", `{}`},
		{"", "seccompProfile: {type: Localhost, localhostProfile: p.json}", "", `{"Seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}`},
		{"", "seccompProfile: {type: Localhost, localhostProfile: none.json}", "", "cannot load seccomp profile \"none.json\": no such file"},
		{"", "seccompProfile: {type: Localhost, localhostProfile: empty.json}", "", "no defaultAction"},
		{"", "seccompProfile: {type: Localhost, localhostProfile: out.json}", "", "escapes"},
		{"runAsNonRoot: true", "", "1000", `{}`},
		{"runAsNonRoot: true", "", "1000:0", `{}`},
		{"runAsNonRoot: true", "", "", `container has runAsNonRoot and image will run as root (pod: "web_shop(u-1)", container: c)`},
		{"runAsNonRoot: true", "", "0", "image will run as root"},
		{"runAsNonRoot: true", "", "00:5", "image will run as root"},
		{"runAsNonRoot: true", "", "www", "image has non-numeric user (www), cannot verify user is non-root"},
		{"runAsNonRoot: true", "runAsUser: 0", "1000", "container's runAsUser breaks non-root policy"},
		{"runAsNonRoot: true", "runAsUser: 7", "root", `{"User":7}`},
		{"runAsNonRoot: true", "runAsNonRoot: false", "", `{}`},
		{"", "procMount: Unmasked", "", "`hostUsers` must be false"},
	} {
		pod := one(t, "securityContext: {"+c.container+"}", "securityContext: {"+c.pod+"}")
		s, err := Security(pod, &pod.Spec.Containers[0], c.image, Node{SeccompProfiles: dir})
		what := fmt.Sprintf("Security of pod {%s}, container {%s}, image %q", c.pod, c.container, c.image)
		if !strings.HasPrefix(c.want, "{") {
			check.ErrorHas(t, what, err, []string{c.want})
			continue
		}
		check.NoError(t, what, err)
		check.Equal(t, what, c.want, set(t, s))
	}
	pod := one(t, "securityContext: {procMount: Unmasked}", "hostUsers: false")
	s, err := Security(pod, &pod.Spec.Containers[0], "", Node{})
	check.NoError(t, "Security with a user namespace", err)
	check.Equal(t, "Security with a user namespace", `{"Unmasked":true}`, set(t, s))
}

// set shows the fields that are set, in their order.
func set(t testing.TB, s driver.Security) string {
	t.Helper()
	text, err := json.Marshal(s)
	check.NoError(t, "marshal", err)
	for _, none := range []string{"null", "false"} {
		for _, field := range []string{"User", "Group", "Groups", "StrictGroups", "Add", "Drop", "Privileged", "ReadonlyRoot", "NoNewPrivs", "Seccomp", "Unconfined", "Unmasked"} {
			entry := fmt.Sprintf("%q:%s", field, none)
			text = []byte(strings.NewReplacer(","+entry, "", entry+",", "", entry, "").Replace(string(text)))
		}
	}
	return string(text)
}

func TestAdmit(t *testing.T) {
	exercise.NeedAll(t)
	node := Node{UnsafeSysctls: []string{"net.core.somaxconn", "kernel.msg*", "vm.swappiness"}}
	for _, c := range []struct{ spec, want string }{
		{"securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}, {name: net/core/somaxconn, value: '1'}, {name: kernel.msgmax, value: '1'}]}", ""},
		{"securityContext: {sysctls: [{name: net.ipv4.ip_forward, value: '1'}]}", `SysctlForbidden: forbidden sysctl: "net.ipv4.ip_forward" not allowlisted`},
		{"securityContext: {sysctls: [{name: vm.swappiness, value: '1'}]}", "not namespaced"},
		{"securityContext: {sysctls: [{name: kernel.msg/../hostname, value: '1'}]}", "SysctlForbidden"},
		{"hostNetwork: true\nsecurityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}]}", "not allowed with host net enabled"},
		{"hostIPC: true\nsecurityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: '1'}]}", "not allowed with host ipc enabled"},
		{"securityContext: {appArmorProfile: {type: RuntimeDefault}}", ""},
		{"securityContext: {appArmorProfile: {type: Localhost, localhostProfile: p}}", "AppArmor: Cannot enforce AppArmor"},
	} {
		got := ""
		if r := Admit(one(t, "", c.spec), node); r != nil {
			got = r.Reason + ": " + r.Message
		}
		check.True(t, "Admit of "+c.spec, strings.Contains(got, c.want) && (got == "") == (c.want == ""), got, c.want)
	}
}

func TestSandbox_AsThePodSays(t *testing.T) {
	exercise.NeedAll(t)
	in := SandboxInput{Hostname: "node", LogDir: "/logs", DNS: DNSDefaults{Node: driver.DNS{Servers: []string{"9.9.9.9"}, Searches: []string{"lan"}, Options: []string{"ndots:1"}}, Domain: "cluster.local"}}
	show := func(spec string) string {
		s, err := Sandbox(one(t, "ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}, {containerPort: 81}]", spec), in)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s %v %v %v %q %v", s.Hostname, *s.DNS, s.Ports, s.Sysctls, s.Hosts, s.SharePID)
	}
	check.Equal(t, "a sandbox", `web {[9.9.9.9] [lan] [ndots:1]} [{ 8080 80 udp}] map[] "" false`, show("restartPolicy: Never"))
	check.Equal(t, "with words on all", `h {[1.1.1.1] [a] [ndots:2 debug]} [{ 8080 80 udp}] map[net.core.somaxconn:5] "10.0.0.9\ta\tb\n" true`,
		show("hostname: h\nshareProcessNamespace: true\ndnsPolicy: None\ndnsConfig: {nameservers: [1.1.1.1, 1.1.1.1], searches: [a], options: [{name: ndots, value: '2'}, {name: debug}]}\n"+
			"hostAliases: [{ip: 10.0.0.9, hostnames: [a, b]}]\nsecurityContext: {sysctls: [{name: net/core/somaxconn, value: '5'}]}"))
	check.Equal(t, "hostUsers false without ids", "hostUsers false: this node has no ids to give to pod web", show("hostUsers: false"))
	in.DNS.Cluster = []string{"10.96.0.10"}
	check.Equal(t, "in a cluster", `web {[10.96.0.10] [shop.svc.cluster.local svc.cluster.local cluster.local lan] [ndots:5]} [{ 8080 80 udp}] map[] "" false`, show("restartPolicy: Never"))
	pod := one(t, "", "hostNetwork: true")
	pod.Name = strings.Repeat("x", 80)
	s, err := Sandbox(pod, in)
	check.NoError(t, "Sandbox", err)
	check.Equal(t, "on the node's network", "node [9.9.9.9] true", fmt.Sprint(s.Hostname, " ", s.DNS.Servers, s.HostNetwork))
	pod.Spec.HostNetwork = false
	s, _ = Sandbox(pod, in)
	check.Equal(t, "a long name", 63, len(s.Hostname))
}

func TestIDRanges_ArePodsOwn(t *testing.T) {
	exercise.NeedAll(t)
	dir := t.TempDir()
	r := &IDRanges{Dir: dir, First: 65536, Count: 2}
	first := func(r *IDRanges, uid string) string {
		maps, err := r.Of(types.UID(uid))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(maps.UIDs[0].HostID, " ", maps.UIDs[0].Size)
	}
	check.Equal(t, "ids of a", "65536 65536", first(r, "a"))
	check.Equal(t, "ids of b", "131072 65536", first(r, "b"))
	check.Equal(t, "ids of c", "all 2 ranges of ids for pods with hostUsers: false are given", first(r, "c"))
	check.Equal(t, "ids of no pod", `pod UID "../x" is no name of a folder`, first(r, "../x"))
	r = &IDRanges{Dir: dir, First: 65536, Count: 2} // the agent began anew
	check.Equal(t, "ids of b, again", "131072 65536", first(r, "b"))
	check.NoError(t, "the end of a", os.RemoveAll(filepath.Join(dir, "a")))
	check.Equal(t, "ids of c", "65536 65536", first(r, "c"))
}

func TestTerminationMessage(t *testing.T) {
	exercise.NeedAll(t)
	dir := t.TempDir()
	file, log := filepath.Join(dir, "m"), filepath.Join(dir, "0.log")
	c := &corev1.Container{TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError}
	says := func(exit int) string {
		m, err := TerminationMessage(t.Context(), c, file, log, exit)
		check.NoError(t, "TerminationMessage", err)
		return m
	}
	check.Equal(t, "where there is nothing", "", says(1))
	var lines string
	for n := range 100 {
		lines += fmt.Sprintf("2026-01-01T00:00:00.000000000Z stdout F line %d\n", n)
	}
	check.NoError(t, "write", os.WriteFile(log, []byte(lines), 0o644))
	check.NoError(t, "make the file", MakeMessageFile(file))
	got := says(1)
	check.True(t, "the last 80 lines of a log", strings.HasPrefix(got, "line 20\n") && strings.HasSuffix(got, "line 99\n"), got, "line 20 to line 99")
	check.Equal(t, "of one that went well", "", says(0))
	check.NoError(t, "write", os.WriteFile(log, []byte("2026-01-01T00:00:00.000000000Z stderr F "+strings.Repeat("é", 3000)+"\n"), 0o644))
	check.Equal(t, "the end of a long line", strings.Repeat("é", 1023)+"\n", says(1))
	check.NoError(t, "write", os.WriteFile(file, []byte(strings.Repeat("a", 10)+strings.Repeat("b", 4096)), 0o644))
	check.Equal(t, "the end of a long message", strings.Repeat("b", 4096), says(0))
	c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	check.NoError(t, "make the file", MakeMessageFile(file))
	check.Equal(t, "with policy File", "", says(1))
}
