package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	b.script(`cat /proc/self/mountinfo; echo ---; stat -c %a /t1; cat /deep/er/file; ls /b4/sub | wc -l`)
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
	check.True(t, "the size of a tmpfs", strings.Contains(infos, "size=64k"), infos, "size=64k")
	check.Equal(t, "mode, a file that is bound, a plain bind's content below", "700\nvolume\n0\n", rest)
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

var realRoot = sandbox.Feature{Name: "root of the machine", Fix: "sudo, or ./lab vm", Has: func() error {
	if mode := sandbox.CurrentMode(); mode != sandbox.Root {
		return errors.New("this mode is " + string(mode))
	}
	return nil
}}

var idMapped = sandbox.Feature{Name: "id-mapped mounts of the folder for temporary files", Fix: "Linux 6.3", Has: func() error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	m := &mountPlan{Mount: specs.Mount{Source: dir, UIDMappings: hundredThousand, GIDMappings: hundredThousand}}
	tree, err := cloneTree(m)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return mapTree(tree, m)
}}

var hundredThousand = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}

// inUserNamespace gives the container and its root to another range of ids.
func (b *bundle) inUserNamespace() {
	b.t.Helper()
	b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	b.Linux.UIDMappings, b.Linux.GIDMappings = hundredThousand, hundredThousand
	for _, dir := range []string{b.root, b.root + "/tmp", b.root + "/etc"} {
		check.NoError(b.t, "give the root to the container's", os.Chown(dir, 100000, 100000))
	}
	for dir := b.root; dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755) // its root has to reach it
	}
}

// closedFolder makes a folder that only its owner can reach, and in it a volume.
func closedFolder(t *testing.T, owner int) (volume string) {
	t.Helper()
	volume = t.TempDir() + "/closed/open"
	check.NoError(t, "make a closed folder", errors.Join(os.MkdirAll(volume, 0o700), os.WriteFile(volume+"/secret", []byte("seen\n"), 0o600),
		os.Chown(volume+"/secret", owner, owner), os.Chown(volume, owner, owner)))
	return volume
}

func TestMounts_BelowAUserNamespace(t *testing.T) {
	b := newBundle(t, "cat /proc/self/uid_map | tr -s ' '; cat /volume/secret; stat -c '%u %g' /volume/secret; head -c 2 /dev/zero | wc -c; touch /dev/shm/x && ls /sys/class/net")
	sandbox.Need(t, realRoot)
	b.inUserNamespace()
	b.bind(closedFolder(t, 100000), "/volume")
	b.prints("a volume in a folder that is closed to the container's root", " 0 100000 65536\nseen\n0 0\n2\nlo")
}

// sysfs belongs to the owner of the network namespace; proc to that of the PID namespace.
func TestMounts_OfTheCallers(t *testing.T) {
	b := newBundle(t, "cat /proc/self/mountinfo; [ -d /sys/class/net/lo ] && ls /proc/1 >/dev/null && echo seen")
	sandbox.Need(t, realRoot)
	b.inUserNamespace()
	b.Linux.Namespaces = slices.DeleteFunc(b.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.NetworkNamespace || n.Type == specs.PIDNamespace
	})
	b.dropMount("/sys/fs/cgroup")
	b.Linux.ReadonlyPaths, b.Linux.MaskedPaths = nil, nil
	out, errs, status := b.run()
	check.Equal(t, "exit status "+errs, 0, status)
	options, _ := mountsOf(t, strings.TrimSuffix(out, "seen\n"))
	check.True(t, "/sys and /proc in the caller's network and PID namespaces", strings.HasPrefix(options["/sys"], "ro,nosuid,nodev,noexec") && strings.HasSuffix(out, "seen\n"), out, "read-only, and seen")
}

func TestMounts_MappedIDs(t *testing.T) {
	b := newBundle(t, "stat -c '%u %g' /mapped/secret; cat /mapped/secret; touch /mapped/new")
	sandbox.Need(t, realRoot, idMapped)
	b.inUserNamespace()
	volume := closedFolder(t, 0)
	b.bind(volume, "/mapped")
	m := &b.Mounts[len(b.Mounts)-1]
	m.UIDMappings, m.GIDMappings = hundredThousand, hundredThousand
	b.prints("a volume of another's, with its ids mapped", "0 0\nseen")
	var st unix.Stat_t
	check.NoError(t, "stat what it made", unix.Stat(volume+"/new", &st))
	check.Equal(t, "the owner on disk of what it made there", uint32(0), st.Uid)
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
