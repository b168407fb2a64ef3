package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// mountsOf returns, from a container's mountinfo, the options of the last mount on a
// place, and its optional fields without their numbers: "master".
func mountsOf(t testing.TB, text string) (options, fields map[string]string) {
	t.Helper()
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	check.NoError(t, "parse mountinfo", err)
	options, fields = map[string]string{}, map[string]string{}
	for _, m := range infos {
		options[m.Mountpoint] = m.Options
		var kinds []string
		for f := range strings.FieldsSeq(m.Optional) {
			kind, _, _ := strings.Cut(f, ":")
			kinds = append(kinds, kind)
		}
		fields[m.Mountpoint] = strings.Join(kinds, " ")
	}
	return options, fields
}

func TestMounts_Options(t *testing.T) {
	b := newBundle(t, "")
	volume := t.TempDir()
	check.NoError(t, "mount below a volume", errors.Join(os.Mkdir(volume+"/sub", 0o755), unix.Mount("tmpfs", volume+"/sub", "tmpfs", 0, "")))
	defer unix.Unmount(volume+"/sub", unix.MNT_DETACH)
	check.NoError(t, "write a file", os.WriteFile(volume+"/file", []byte("volume\n"), 0o644))
	b.mount("/t1", "tmpfs", "tmpfs", "nosuid", "nodev", "noexec", "noatime", "mode=0700", "size=64k")
	b.mount("/t2", "tmpfs", "tmpfs", "ro")
	b.bind(volume, "/b1", "rbind")
	b.bind(volume, "/b2", "rbind", "ro", "nosuid")
	b.bind(volume, "/b3", "rbind", "rro", "rnoexec")
	b.bind(volume, "/b4", "ro", "rw", "strictatime")
	b.bind(volume+"/file", "/deep/er/file", "ro")
	b.script(`cat /proc/self/mountinfo; echo ---; stat -c %a /t1; cat /deep/er/file; ls /b4/sub | wc -l; stat -fc '%b %s' /t1`)
	out, errs, status := b.run()
	check.Equal(t, "exit status: "+errs, 0, status)
	infos, rest, _ := strings.Cut(out, "---\n")
	got, _ := mountsOf(t, infos)
	for place, want := range map[string]string{
		"/t1": "rw,nosuid,nodev,noexec,noatime", "/t2": "ro,relatime",
		"/b1": "rw,nosuid,nodev,relatime", "/b1/sub": "rw,relatime", // the test's own file system is nosuid and nodev
		"/b2": "ro,nosuid,nodev,relatime", "/b2/sub": "rw,relatime",
		"/b3": "ro,nosuid,nodev,noexec,relatime", "/b3/sub": "ro,noexec,relatime",
		"/b4": "rw,nosuid,nodev", "/deep/er/file": "ro,nosuid,nodev,relatime",
	} {
		check.Equal(t, "the mount on "+place, want, got[place])
	}
	check.Equal(t, "mode, a file that is bound, a plain bind's content below, size", "700\nvolume\n0\n16 4096\n", rest)
}

func TestMounts_Propagation(t *testing.T) {
	b := newBundle(t, "")
	volume := t.TempDir()
	check.NoError(t, "make a shared mount", errors.Join(unix.Mount("tmpfs", volume, "tmpfs", 0, ""), unix.Mount("", volume, "", unix.MS_SHARED, "")))
	defer unix.Unmount(volume, unix.MNT_DETACH)
	places := []string{"/", "/private", "/slave", "/shared", "/unbindable", "/none"}
	for _, place := range places[1:5] {
		b.bind(volume, place, "rbind", "r"+place[1:])
	}
	b.bind(volume, "/none")
	b.script("cat /proc/self/mountinfo")
	b.Linux.RootfsPropagation = "rslave"
	out, errs, _ := b.run()
	_, got := mountsOf(t, out)
	for i, want := range []string{"", "", "master", "shared master", "unbindable", "master"} {
		check.Equal(t, "propagation of "+places[i]+" below a slave root "+errs, want, got[places[i]])
	}

	b.Linux.RootfsPropagation = "rshared"
	b.script(`mkdir /shared/in && mount -t tmpfs tmpfs /shared/in && touch /shared/in/file`)
	b.Root.Readonly = false
	b.caps("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
	b.prints("a mount in a shared volume", "")
	_, err := os.Stat(volume + "/in/file")
	check.NoError(t, "what the container mounted in a shared volume, outside", err)
	unix.Unmount(volume+"/in", unix.MNT_DETACH)
}

// An image may hold any link: what is mounted stays in the root.
func TestMounts_StayInTheRoot(t *testing.T) {
	secret := t.TempDir()
	outside := filepath.Join(secret, "outside")
	check.NoError(t, "make a folder", os.Mkdir(outside, 0o755))
	for _, c := range []struct{ link, to, dest string }{
		{"out", outside, "/out"}, {"out", strings.Repeat("../", 20) + outside[1:], "/out/in"}, {"out", "/proc/self/root" + outside, "/out"},
		{"a/out", "../" + strings.Repeat("../", 20) + outside[1:], "/a/out/new"}, {"out", "/nowhere/yet", "/out"},
	} {
		b := newBundle(t, "cat "+c.dest+"/file")
		volume := t.TempDir()
		check.NoError(t, "prepare", errors.Join(os.WriteFile(volume+"/file", []byte("mine\n"), 0o644),
			os.MkdirAll(filepath.Dir(filepath.Join(b.root, c.link)), 0o755), os.Symlink(c.to, filepath.Join(b.root, c.link))))
		b.bind(volume, c.dest)
		out, errs, _ := b.run()
		what := "mount on " + c.dest + " where " + c.link + " leads to " + c.to
		if strings.HasPrefix(c.to, "/proc/") { // no process, no such folder in the root: made below it
			check.True(t, what, out == "mine\n" || strings.Contains(errs, "out"), out+errs, "below the root, or an error")
		} else {
			check.Equal(t, what+": "+errs, "mine\n", out)
		}
		entries, err := os.ReadDir(outside)
		check.NoError(t, "list the folder outside", err)
		check.Equal(t, what+": entries made outside of the root", 0, len(entries))
	}
}

func TestMounts_ProcIsItself(t *testing.T) {
	b := newBundle(t, "true")
	check.NoError(t, "make links", errors.Join(os.Mkdir(b.root+"/elsewhere", 0o755), os.Symlink("elsewhere", b.root+"/proc")))
	b.refused("mount proc where a link leads elsewhere", "/proc", "link")

	volume := t.TempDir()
	check.NoError(t, "write files", errors.Join(os.WriteFile(volume+"/file", []byte("feigned\n"), 0o644), os.Mkdir(volume+"/attr", 0o755)))
	b = newBundle(t, "true")
	b.bind(volume, "/proc/self/attr")
	b.refused("bind a folder over /proc/self/attr", "/proc/self/attr", "in /proc")
	b = newBundle(t, "true")
	check.NoError(t, "make a link", os.Symlink("proc/self", b.root+"/link"))
	b.bind(volume, "/link/attr")
	b.refused("bind a folder over it by a link", "/link/attr", "in /proc")
	b = newBundle(t, "cat /proc/uptime")
	b.bind(volume+"/file", "/proc/uptime", "ro")
	b.prints("what lxcfs does", "feigned")
}

func TestMounts_BelowAUserNamespace(t *testing.T) {
	if sandbox.CurrentMode() != sandbox.Root {
		sandbox.Need(t, sandbox.Feature{Name: "root", Fix: "sudo", Has: func() error { return errors.New("this mode is " + string(sandbox.CurrentMode())) }})
	}
	b := newBundle(t, "cat /proc/self/uid_map | tr -s ' '; cat /volume/secret; stat -c '%u %g' /volume/secret /mapped/secret; cat /mapped/secret; touch /mapped/new; stat -c %n,%t,%T /dev/null; stat -fc %T /sys")
	closed := t.TempDir() + "/closed"
	check.NoError(t, "make a closed folder", errors.Join(os.MkdirAll(closed+"/open", 0o700), os.WriteFile(closed+"/open/secret", []byte("seen\n"), 0o600),
		os.Chown(closed+"/open/secret", 100000, 100000), os.Chmod(closed+"/open", 0o777)))
	other := t.TempDir() + "/closed"
	check.NoError(t, "make a closed folder", errors.Join(os.MkdirAll(other+"/open", 0o700), os.WriteFile(other+"/open/secret", []byte("mapped\n"), 0o600)))
	b.bind(closed+"/open", "/volume")
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	b.Linux.UIDMappings, b.Linux.GIDMappings = ids, ids
	b.bind(other+"/open", "/mapped")
	m := &b.Mounts[len(b.Mounts)-1]
	m.UIDMappings, m.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}, []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	for dir := b.root; dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755) // rootfs itself has to be reached by the new root
	}
	for _, dir := range []string{b.root, b.root + "/tmp", b.root + "/etc"} {
		check.NoError(t, "give the root to the container's", os.Chown(dir, 100000, 100000))
	}
	b.prints("volumes below a user namespace", " 0 100000 65536\nseen\n0 0\n0 0\nmapped\n/dev/null,1,3\nsysfs")
	var st unix.Stat_t
	check.NoError(t, "stat what it made", unix.Stat(other+"/open/new", &st))
	check.Equal(t, "the owner on disk of what it made in the mapped volume", uint32(0), st.Uid)
}

func TestMounts_Refused(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		mount specs.Mount
		parts []string
	}{
		{specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"tmpcopyup"}}, []string{"/x", "tmpcopyup"}},
		{specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"no-such=option"}}, []string{"/x", "invalid argument"}},
		{specs.Mount{Destination: "/x", Type: "bind", Source: dir, Options: []string{"bind", "size=1"}}, []string{"/x", "size=1"}},
		{specs.Mount{Destination: "/x", Type: "bind", Source: dir + "/missing", Options: []string{"bind"}}, []string{"/x", "missing", "no such file"}},
		{specs.Mount{Destination: "/x", Type: "no-such-fs"}, []string{"/x", "no-such-fs", "no such device"}},
		{specs.Mount{Destination: "/", Type: "tmpfs"}, []string{"root.path"}},
		{specs.Mount{Destination: "/x"}, []string{"/x", "type"}},
		{specs.Mount{Destination: "/x", Type: "bind", Source: "rel", Options: []string{"bind"}}, []string{"rel", "absolute"}},
		{specs.Mount{Destination: "/x", Type: "bind", Source: dir, Options: []string{"bind", "idmap"}}, []string{"/x", "uidMappings"}},
	} {
		b := newBundle(t, "true")
		b.Mounts = append(b.Mounts, c.mount)
		b.refused("mount "+c.mount.Type+" with "+strings.Join(c.mount.Options, ","), c.parts...)
		_, err := os.Stat(filepath.Join(b.dir, "state", b.id))
		check.ErrorIs(t, "the state of what was refused", err, fs.ErrNotExist)
	}
}

// FuzzMountPlan: no options lead to a panic, or to a bind with data.
func FuzzMountPlan(f *testing.F) {
	f.Add("bind", "/a", "rbind,ro,rprivate,rro")
	f.Add("tmpfs", "", "mode=755,size=1k,relatime,rnoexec")
	f.Add("", "", "r,rr,rw,rrw,,idmap")
	f.Fuzz(func(t *testing.T, kind, source, options string) {
		p, err := planMount(specs.Mount{Destination: "/x", Type: kind, Source: source, Options: strings.Split(options, ",")})
		if err == nil && p.bind && len(p.data) > 0 {
			t.Errorf("bind with data %q", p.data)
		}
		if err == nil {
			attributes(p.set, p.clear)
		}
	})
}
