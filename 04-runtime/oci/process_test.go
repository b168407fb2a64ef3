package oci

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

const capLines = `grep -E '^Cap' /proc/self/status | tr -d '\n\t'`

// The five sets are what the spec says, each by itself.
func TestProcess_Capabilities(t *testing.T) {
	for _, c := range []struct {
		caps *specs.LinuxCapabilities
		want string
	}{
		{nil, "CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000CapAmb:0000000000000000"},
		{&specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN"}},
			// Root's execve gives all that is in the bounding set (capabilities(7)).
			"CapInh:0000000000000000CapPrm:0000000000000021CapEff:0000000000000021CapBnd:0000000000000021CapAmb:0000000000000000"},
		{&specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Inheritable: []string{"CAP_CHOWN", "CAP_KILL"}},
			"CapInh:0000000000000001CapPrm:0000000000000001CapEff:0000000000000001CapBnd:0000000000000001CapAmb:0000000000000000"},
	} {
		b := newBundle(t, capLines)
		b.Process.Capabilities = c.caps
		b.prints("the sets of root", c.want)
	}
	if sandbox.CurrentMode() == sandbox.Single {
		return // no other id
	}
	names := []string{"CAP_CHOWN", "CAP_NET_BIND_SERVICE"}
	b := newBundle(t, capLines)
	b.Process.User.UID = 1000
	b.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Permitted: names, Effective: names}
	b.prints("the sets of another user: execve takes them", "CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000401CapAmb:0000000000000000")
	b.Process.Capabilities.Inheritable, b.Process.Capabilities.Ambient = names, names[1:]
	b.prints("ambient ones survive", "CapInh:0000000000000401CapPrm:0000000000000400CapEff:0000000000000400CapBnd:0000000000000401CapAmb:0000000000000400")
}

func TestProcess_MissingCapabilitiesAreAWarning(t *testing.T) {
	b := newBundle(t, capLines)
	b.caps("CAP_CHOWN", "CAP_SYS_BOOT", "CAP_OF_A_LATER_KERNEL") // the sandbox lacks CAP_SYS_BOOT
	out, errs, status := b.run()
	check.Equal(t, "the exit status", 0, status)
	check.True(t, "the warnings", strings.Contains(errs, "not known here are not given: CAP_OF_A_LATER_KERNEL\n") && strings.Contains(errs, "does not have are not given: CAP_SYS_BOOT\n"), errs, "both named")
	check.True(t, "the sets", strings.HasPrefix(out, "CapInh:0000000000000000CapPrm:0000000000000001"), out, "CAP_CHOWN alone")
}

func TestProcess_RightsAndLimits(t *testing.T) {
	b := newBundle(t, `umask; grep -E '^Max (core|open)' /proc/self/limits | tr -s ' '; cat /proc/self/oom_score_adj; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t'; uname -m`)
	score, umask := 500, uint32(0o027)
	b.Process.OOMScoreAdj, b.Process.User.Umask = &score, &umask
	b.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
	b.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	out, errs, _ := b.run()
	machine := map[string]string{"x86_64": "i686", "aarch64": "armv8l"}[uname()]
	out = strings.Replace(out, "files 199 200", "files 100 200", 1) // where the tools are a Go program, which raises its own
	check.Equal(t, "umask, limits, oom_score_adj, no_new_privs, personality "+errs, "0027\nMax core file size 0 0 bytes \nMax open files 100 200 files \n500\nNoNewPrivs:1\nSeccomp:0\n"+machine+"\n", out)

	// Go raises its own soft limit; what any other program of this process has is meant.
	script := "grep '^Max open' /proc/self/limits"
	outside, err := exec.Command("/bin/sh", "-c", script).Output()
	check.NoError(t, "run a shell", err)
	b = newBundle(t, script)
	b.Process.Rlimits = nil
	b.prints("limits when none are said", strings.TrimSuffix(string(outside), "\n"))
}

func uname() string {
	var u unix.Utsname
	unix.Uname(&u)
	return unix.ByteSliceToString(u.Machine[:])
}

func TestProcess_User(t *testing.T) {
	if sandbox.CurrentMode() == sandbox.Single {
		b := newBundle(t, "true")
		b.Process.User.UID = 7
		b.refused("a user that is not mapped", "7", "is it mapped")
		return
	}
	b := newBundle(t, "id -u; id -g; id -G; echo $HOME; touch /tmp/mine && stat -c '%u %a' /tmp/mine")
	b.Root.Readonly = false
	check.NoError(t, "open a folder", os.Chmod(b.root+"/tmp", 0o777))
	b.Process.User = specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{4, 24}}
	b.prints("ids", "1000\n100\n100 4 24\n/\n1000 644")
}

func TestProcess_Seccomp(t *testing.T) {
	profile := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno}}}
	for _, nnp := range []bool{true, false} {
		b := newBundle(t, `mkdir /tmp/x 2>/dev/null || echo denied; grep '^Seccomp:' /proc/self/status`)
		b.Root.Readonly, b.Process.NoNewPrivileges, b.Linux.Seccomp = false, nnp, profile
		b.prints("a filter, no_new_privs "+strconv.FormatBool(nnp), "denied\nSeccomp:\t2")
	}
	b := newBundle(t, "true")
	b.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}
	b.refused("a profile that asks a supervisor", "seccomp", "SCMP_ACT_NOTIFY")
}

func TestProcess_Priorities(t *testing.T) {
	if nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && 20-nice > 5 { // getpriority(2): 20-nice
		t.Skipf("these tests run with nice %d, which not everybody may make less", 20-nice)
	}
	b := newBundle(t, `cut -d' ' -f19,41 /proc/self/stat`)
	b.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
	b.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 0}
	b.prints("nice and policy (3 is SCHED_BATCH)", "5 3")
}

// What is not honoured is refused, by name and before anything is made.
func TestInside_Refuses(t *testing.T) {
	number, text := 5, "x"
	for _, c := range []struct {
		change func(*specs.Spec)
		parts  []string
	}{
		{func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }, []string{"intelRdt"}},
		{func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{} }, []string{"memoryPolicy", "cpu.mems"}},
		{func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}} }, []string{"netDevices"}},
		{func(s *specs.Spec) { s.Linux.MountLabel = text }, []string{"mountLabel", "SELinux"}},
		{func(s *specs.Spec) { s.Process.SelinuxLabel = text }, []string{"selinuxLabel", "SELinux"}},
		{func(s *specs.Spec) { s.Process.ApparmorProfile = "docker-default" }, []string{"docker-default", "AppArmor"}},
		{func(s *specs.Spec) { s.Linux.RootfsPropagation = text }, []string{"rootfsPropagation", "slave"}},
		{func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "BSD"} }, []string{"personality", "BSD"}},
		{func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"proc/x"} }, []string{"maskedPaths", "absolute"}},
		{func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, []string{"devices[0]", "z"}},
		{func(s *specs.Spec) { s.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Access: "rx"}} }, []string{"devices[0]", "rx"}},
		{func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} }, []string{"RLIMIT_X"}},
		{func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 2, Hard: 1}} }, []string{"RLIMIT_CORE", "above"}},
		{func(s *specs.Spec) { bad := 2000; s.Process.OOMScoreAdj = &bad }, []string{"oomScoreAdj", "2000"}},
		{func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "fast", Priority: number} }, []string{"ioPriority", "fast"}},
		{func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_X"} }, []string{"scheduler", "SCHED_X"}},
		{func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.panic": "1"} }, []string{"kernel.panic", "whole machine"}},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:docker:x" }, []string{"systemd", "cgroupfs"}},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "/.." }, []string{"cgroupsPath", "root of all"}},
	} {
		b := newBundle(t, "true")
		c.change(b.Spec)
		b.refused(c.parts[0], c.parts...)
		_, err := os.Stat(filepath.Join(b.dir, "state", b.id))
		check.ErrorIs(t, "the state of what was refused", err, os.ErrNotExist)
	}
}

func TestSysctl(t *testing.T) {
	b := newBundle(t, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname /proc/sys/net/ipv4/conf/lo/rp_filter; (echo 0 > /proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo closed")
	b.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096", "kernel.domainname": "example", "net/ipv4/conf/lo/rp_filter": "2"}
	b.prints("settings of the container's own namespaces", "1\n4096\nexample\n2\nclosed")

	for _, c := range []struct {
		key, value string
		parts      []string
	}{
		{"net.ipv4.no_such", "1", []string{"net.ipv4.no_such", "no such file"}},
		{"net.ipv4.ip_forward", "nonsense", []string{"net.ipv4.ip_forward", "invalid argument"}},
		{"net/../kernel/panic", "1", []string{"no name of a setting"}},
		{"net.ipv4./.kernel.panic", "1", []string{"net.ipv4./.kernel.panic"}},
		{"kernel.hostname", "x", []string{"hostname"}},
		{"vm.swappiness", "1", []string{"whole machine"}},
	} {
		b := newBundle(t, "true")
		b.Linux.Sysctl = map[string]string{c.key: c.value}
		b.refused("sysctl "+c.key, c.parts...)
	}
	b = newBundle(t, "true")
	b.Linux.Namespaces = b.Linux.Namespaces[:0:0]
	for _, ns := range Example().Linux.Namespaces {
		if ns.Type != specs.NetworkNamespace {
			b.Linux.Namespaces = append(b.Linux.Namespaces, ns)
		}
	}
	b.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.refused("a setting of the machine's network", "net.ipv4.ip_forward", "network namespace")
	b = newBundle(t, "true")
	b.dropMount("/proc")
	b.Linux.MaskedPaths, b.Linux.ReadonlyPaths = nil, nil
	b.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	check.NoError(t, "feign a /proc", errors.Join(os.MkdirAll(b.root+"/proc/sys/net/ipv4", 0o755), os.WriteFile(b.root+"/proc/sys/net/ipv4/ip_forward", nil, 0o644)))
	b.refused("a setting where /proc is none", "sysctl", "proc")
}
