package oci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
	"coracle/01-namespaces/seccomp"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// contained is a container as engines make it when nothing is asked for: root, with
// their default capabilities (CAP_MKNOD too) and the default filter.
func contained(t *testing.T, script string) *bundle {
	b := newBundle(t, script)
	b.caps(append([]string{"CAP_MKNOD"}, namespaces.DefaultCapabilities...)...)
	b.Linux.Seccomp = seccomp.Default()
	b.Root.Readonly, b.Process.OOMScoreAdj = false, p(0) // which is also how low it may ever go
	return b
}

// Each line tries one known way out, and says "out" if that was open. What would
// change the machine if it were is opened for writing, and nothing is written.
func TestEscape_FromADefaultContainer(t *testing.T) {
	for _, c := range []struct{ name, try string }{
		{"core_pattern", `: >> /proc/sys/kernel/core_pattern`},
		{"modprobe", `: >> /proc/sys/kernel/modprobe`},
		{"hotplug", `: >> /sys/kernel/uevent_helper`},
		{"sysrq", `: >> /proc/sysrq-trigger`},
		{"printk", `: >> /proc/sys/kernel/printk`},
		{"binfmt_misc", `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc`},
		{"kcore", `head -c 1 /proc/kcore | grep -q .`},
		{"timer_list", `head -c 1 /proc/timer_list | grep -q .`},
		{"keys", `head -c 1 /proc/keys | grep -q .`},
		{"remount /proc/sys", `mount -o remount,rw /proc/sys`},
		{"unmount a mask", `umount /proc/kcore`},
		{"mount proc anew", `mkdir -p /tmp/p && mount -t proc proc /tmp/p`},
		{"mount cgroups anew", `mkdir -p /tmp/c && mount -t cgroup -o memory cgroup /tmp/c`},
		{"release_agent", `: >> /sys/fs/cgroup/memory/release_agent`},
		{"raise its own limit", `for f in /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max; do [ -e $f ] && echo max > $f && exit 0; done; false`},
		{"raw memory", `mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem`},
		{"raw disk", `mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk; mknod /tmp/vda b 254 0 && head -c 1 /tmp/vda`},
		{"kernel messages", `mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg`},
		{"allow itself a device", `: >> /sys/fs/cgroup/devices/devices.allow`},
		{"namespaces", `unshare -U true`},
		{"mount namespace", `unshare -m true`},
		{"oom score", `echo -1000 > /proc/$$/oom_score_adj; [ $(cat /proc/$$/oom_score_adj) -lt 0 ]`},
	} {
		b := contained(t, "("+c.try+") >/dev/null 2>&1 && echo out; exit 0")
		b.prints("the way out: "+c.name, "")
	}
}

// CVE-2019-5736: a program that is the runtime's own binary, by /proc/self/exe, which
// then writes to it. What it reaches is not the file that will run outside again.
func TestEscape_TheRuntimesBinary(t *testing.T) {
	b := contained(t, "sleep 60")
	own, err := os.Stat("/proc/self/exe")
	check.NoError(t, "stat my binary", err)
	before := own.ModTime()
	b.Process.Args = []string{"/proc/self/exe", "version"}
	out, errs, _ := b.run()
	check.True(t, "/proc/self/exe as the program", !strings.Contains(out, "spec:") || errs == "", out+errs, "an error, or the program in the container")
	b = contained(t, `(: >> /proc/1/exe) 2>/dev/null && echo out; for f in /proc/self/fd/*; do case $(readlink $f) in *oci.test*|*memfd*) echo $f leads to $(readlink $f);; esac; done 2>/dev/null`)
	b.prints("descriptors of the runtime in the container", "")
	now, err := os.Stat("/proc/self/exe")
	check.NoError(t, "stat my binary", err)
	check.Equal(t, "when the binary was written", before, now.ModTime())
}

// CVE-2021-30465: whoever shares a volume exchanges a folder for a link while the
// runtime mounts below it. Whatever wins, the mount is below the root.
func TestEscape_RaceForAVolume(t *testing.T) {
	outside := t.TempDir()
	volume := t.TempDir()
	check.NoError(t, "make folders", errors.Join(os.Mkdir(volume+"/dir", 0o755), os.Symlink(strings.Repeat("../", 20)+outside[1:], volume+"/link")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, volume+"/dir", unix.AT_FDCWD, volume+"/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	secret := t.TempDir()
	check.NoError(t, "write a file", os.WriteFile(secret+"/file", nil, 0o644))
	for end, tries := time.Now().Add(2*time.Second), 0; tries < 20 && time.Now().Before(end); tries++ {
		b := newBundle(t, "true")
		b.bind(volume, "/volume")
		b.mount("/volume/dir/new", "tmpfs", "tmpfs")
		b.bind(secret, "/volume/dir/bound")
		b.run() // it may be refused: then the exchange came between
		entries, err := os.ReadDir(outside)
		check.NoError(t, "list the folder outside", err)
		check.Equal(t, "entries made outside of the root", 0, len(entries))
	}
}

// CVE-2025-31133 and -52881, the other half: masks and sysctls in a volume's links.
func TestEscape_MaskedPathsAreNotLinks(t *testing.T) {
	b := contained(t, `cat /proc/kcore /masked/file; ls -A /masked-dir`)
	check.NoError(t, "make links", errors.Join(os.MkdirAll(b.root+"/real", 0o755), os.WriteFile(b.root+"/real/file", []byte("secret\n"), 0o644),
		os.Symlink("real", b.root+"/masked"), os.Symlink("/real", b.root+"/masked-dir")))
	b.Linux.MaskedPaths = append(b.Linux.MaskedPaths, "/masked/file", "/masked-dir")
	out, errs, status := b.run()
	check.True(t, "what is masked by a link's name", out == "" && !strings.Contains(errs, "secret"), out+errs, "nothing")
	_ = status
	host, err := os.ReadFile(filepath.Join(b.root, "real/file"))
	check.NoError(t, "read the file outside", err)
	check.Equal(t, "the file outside", "secret\n", string(host))
}

// ptrace of what is outside: with the machine's PID namespace, but no capability.
func TestEscape_Ptrace(t *testing.T) {
	sandbox.Need(t, realRoot)
	b := contained(t, `cat /proc/1/environ >/dev/null 2>&1 && echo environ; ls /proc/1/root/ >/dev/null 2>&1 && echo root; readlink /proc/1/cwd >/dev/null 2>&1 && echo cwd; exit 0`)
	for i, ns := range b.Linux.Namespaces {
		if ns.Type == specs.PIDNamespace {
			b.Linux.Namespaces = append(b.Linux.Namespaces[:i:i], b.Linux.Namespaces[i+1:]...)
			break
		}
	}
	b.prints("what it can learn of PID 1, which has more capabilities", "")
}
