package namespaces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// systemSaw is what a child finds below root after MountSystem.
type systemSaw struct {
	Mounts   map[string]string // place below root, or absolute: "proc rw,nosuid,…"
	Self     string            // what the link proc/self says
	Made     map[string]string // modes of the directories under the mounts, "755"
	Nodes    map[string]string // "1:3 666 works"
	Links    map[string]string
	Terminal string // a new one's: "pts/0 620 group 5, ptmx 666"
}

const (
	ownNet    = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNET
	rootless  = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC // the network is the caller's
	nodeNames = "null zero full random urandom tty"
)

var systemChild = reporting("system", func(args []string) (any, error) {
	// A writable mount on /sys, as the groups' is on most machines; and a umask
	// that a careful person has.
	if err := unix.Mount("onsys", "/sys/fs/cgroup", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount tmpfs on /sys/fs/cgroup: %w", err)
	}
	unix.Umask(0o077)
	under, err := unix.OpenTree(unix.AT_FDCWD, args[0], unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree %s: %w", args[0], err)
	}
	before := mountTable()
	failed := MountSystem(args[0])
	saw := seeSystem(args[0], before)
	for _, name := range []string{"proc", "sys", "dev"} {
		var st unix.Stat_t
		unix.Fstatat(under, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		saw.Made[name] = fmt.Sprintf("%o", st.Mode&0o777)
	}
	return saw, failed
})

func seeSystem(root string, before map[string]string) systemSaw {
	saw := systemSaw{Mounts: map[string]string{}, Made: map[string]string{}, Nodes: map[string]string{}, Links: map[string]string{}}
	for place, is := range mountTable() {
		if before[place] != is {
			saw.Mounts[strings.TrimPrefix(place, root+"/")] = is
		}
	}
	saw.Self, _ = os.Readlink(root + "/proc/self")
	for name := range strings.FieldsSeq(nodeNames) {
		saw.Nodes[name] = seeNode(root + "/dev/" + name)
	}
	for _, name := range []string{"fd", "stdin", "stdout", "stderr"} {
		saw.Links[name], _ = os.Readlink(root + "/dev/" + name)
	}
	saw.Terminal = seeTerminal(root + "/dev")
	return saw
}

// mountTable is mountinfo by mount point: type and the flags of the mount.
func mountTable() map[string]string {
	table := map[string]string{}
	text, _ := os.ReadFile("/proc/thread-self/mountinfo")
	for line := range strings.Lines(string(text)) {
		mount, fs, _ := strings.Cut(line, " - ")
		f := strings.Fields(mount)
		table[f[4]] = strings.Fields(fs)[0] + " " + f[5]
	}
	return table
}

func seeNode(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return errnoName(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Sprintf("no device, mode %o", st.Mode)
	}
	is := fmt.Sprintf("%d:%d %o ", unix.Major(st.Rdev), unix.Minor(st.Rdev), st.Mode&0o777)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if filepath.Base(path) == "tty" && errors.Is(err, unix.ENXIO) {
		return is + "works" // it is there, and this process has no terminal
	}
	if err != nil {
		return is + errnoName(err)
	}
	defer f.Close()
	if filepath.Base(path) == "tty" {
		return is + "works"
	}
	_, wrote := f.Write([]byte("x"))
	n, read := f.Read(make([]byte, 8))
	switch filepath.Base(path) {
	case "null":
		return is + works(wrote == nil && read == io.EOF)
	case "full":
		return is + works(errors.Is(wrote, unix.ENOSPC) && n == 8)
	}
	return is + works(n == 8)
}

func works(ok bool) string {
	if ok {
		return "works"
	}
	return "does not work"
}

func seeTerminal(dev string) string {
	master, err := unix.Open(dev+"/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "open ptmx: " + errnoName(err)
	}
	defer unix.Close(master)
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return "TIOCGPTN: " + errnoName(err)
	}
	var pts, ptmx unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("%s/pts/%d", dev, n), &pts); err != nil {
		return fmt.Sprintf("pts/%d: %s", n, errnoName(err))
	}
	unix.Stat(dev+"/pts/ptmx", &ptmx)
	return fmt.Sprintf("pts/%d %o group %d, ptmx %o", n, pts.Mode&0o777, pts.Gid, ptmx.Mode&0o777)
}

func systemIn(t *testing.T, flags uintptr) systemSaw {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	check.NoError(t, "make a root", os.Mkdir(root, 0o755))
	saw, err := reportOf[systemSaw](t, systemChild, flags, root)
	did := "MountSystem(root)"
	if flags&unix.CLONE_NEWUSER != 0 {
		did += " in a user namespace, network shared"
	}
	refused := errors.Is(err, unix.EPERM)
	noNode := saw.Mounts["dev"] != "" && !strings.Contains(saw.Nodes["null"], ":")
	invalid, noPts := errors.Is(err, unix.EINVAL), saw.Mounts["dev"] != "" && saw.Mounts["dev/pts"] == ""
	check.NoError(t, did, err,
		check.Often(invalid && noPts && !mapsGroup5(flags), "gid=5 is asked of devpts where no id 5 is mapped"),
		check.Often(invalid && !noPts && saw.Mounts["sys"] == "", "the copy of /sys is taken without the mounts on it, and in a user namespace what they hide stays hidden"),
		check.Often(refused && noNode, "mknod is all that is tried, and without real root it makes no device"),
		check.Often(refused && saw.Mounts["sys"] == "", "a fresh sysfs is all that is tried, and the network namespace is another's"))
	return saw
}

// mapsGroup5 says whether the group tty of most machines has an id in a child.
func mapsGroup5(flags uintptr) bool {
	return flags&unix.CLONE_NEWUSER == 0 && sandbox.CurrentMode() != sandbox.Single
}

// wantMount checks type and flags of what is mounted on a place.
func wantMount(t *testing.T, saw systemSaw, place, fstype, flags string, causes ...check.Cause) {
	t.Helper()
	is := saw.Mounts[place]
	got, has, _ := strings.Cut(is, " ")
	check.Equal(t, "the type of what is mounted on "+place, fstype, got, causes...)
	for f := range strings.SplitSeq(flags, ",") {
		check.True(t, "the flags of "+place, slices.Contains(strings.Split(has, ","), f), is, f+" among them", causes...)
	}
}

func TestMountSystem_Proc(t *testing.T) {
	exercise.Need(t, "1.4")
	sandbox.Need(t)
	saw := systemIn(t, ownNet)
	check.Equal(t, "what root/proc/self says to PID 1", "1", saw.Self,
		check.Often(saw.Self != "", "the caller's /proc is bound, which shows the caller's processes"))
	wantMount(t, saw, "proc", "proc", "nosuid,nodev,noexec")
}

func TestMountSystem_Sys(t *testing.T) {
	exercise.Need(t, "1.4")
	sandbox.Need(t)
	wantMount(t, systemIn(t, ownNet), "sys", "sysfs", "ro,nosuid,nodev,noexec")
	saw := systemIn(t, rootless)
	writable := check.Often(true, "the caller's /sys is bound, but not made read-only with all that is mounted on it")
	wantMount(t, saw, "sys", "sysfs", "ro", writable)
	wantMount(t, saw, "sys/fs/cgroup", "tmpfs", "ro", writable)
}

func TestMountSystem_Nodes(t *testing.T) {
	exercise.Need(t, "1.4")
	sandbox.Need(t)
	want := map[string]string{"null": "1:3 666 works", "zero": "1:5 666 works", "full": "1:7 666 works",
		"random": "1:8 666 works", "urandom": "1:9 666 works", "tty": "5:0 666 works"}
	for _, flags := range []uintptr{ownNet, rootless} {
		saw := systemIn(t, flags)
		wantMount(t, saw, "dev", "tmpfs", "nosuid")
		check.Equal(t, "the modes of the directories made under a umask of 077", map[string]string{"proc": "755", "sys": "755", "dev": "755"}, saw.Made,
			check.Often(saw.Made["proc"] == "700", "the umask takes its bits from the mode that mkdir and mknod are given"))
		for name := range strings.FieldsSeq(nodeNames) {
			got := saw.Nodes[name]
			check.Equal(t, "root/dev/"+name+": numbers, mode, use", want[name], got,
				check.Often(got == "ENOENT", "the descriptor from before the mount is used, and what is made with it lies below the tmpfs"),
				check.Often(strings.Contains(got, " 600 "), "the umask takes its bits from the mode that mkdir and mknod are given"),
				check.Often(strings.HasPrefix(got, "no device"), "the node is an empty file, and nothing is bound on it"))
		}
	}
}

func TestMountSystem_Terminals(t *testing.T) {
	exercise.Need(t, "1.4")
	sandbox.Need(t)
	for _, flags := range []uintptr{ownNet, rootless} {
		// Where no group 5 is mapped, a terminal belongs to its opener's.
		want := "pts/0 620 group 5, ptmx 666"
		if !mapsGroup5(flags) {
			want = "pts/0 620 group 0, ptmx 666"
		}
		saw := systemIn(t, flags)
		wantMount(t, saw, "dev/pts", "devpts", "nosuid,noexec")
		check.Equal(t, "a new terminal in root/dev", want, saw.Terminal,
			check.Often(strings.HasSuffix(saw.Terminal, "ptmx 0"), "without ptmxmode=0666 only root can open a terminal"))
		wantMount(t, saw, "dev/shm", "tmpfs", "nosuid,nodev,noexec")
		wantMount(t, saw, "dev/mqueue", "mqueue", "nosuid,nodev,noexec")
		check.Equal(t, "the links in root/dev", map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
			"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}, saw.Links)
	}
}

func TestMountSystem_LinksLeadNowhere(t *testing.T) {
	exercise.Need(t, "1.4")
	sandbox.Need(t)
	for _, c := range []struct{ place, is string }{
		{"proc", "/outside"}, {"dev", "../outside"}, {"sys", "etc"}, {"proc", "file"}, {"dev", "pipe"},
	} {
		dir := t.TempDir()
		root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "outside")
		place, to := filepath.Join(root, c.place), cmp.Or(map[string]string{"/outside": outside}[c.is], c.is)
		check.NoError(t, "make a root", errors.Join(os.Mkdir(outside, 0o755), os.MkdirAll(root+"/etc", 0o755)))
		did := "MountSystem where " + c.place + " is a link to " + c.is
		switch c.is {
		case "file":
			check.NoError(t, "make a file", os.WriteFile(place, nil, 0o644))
			did = "MountSystem where " + c.place + " is a file"
		case "pipe":
			check.NoError(t, "make a pipe", unix.Mkfifo(place, 0o666))
			did = "MountSystem where " + c.place + " is a named pipe"
		default:
			check.NoError(t, "make a link", os.Symlink(to, place))
		}
		saw, err := reportOf[systemSaw](t, systemChild, ownNet, root)
		out, in := saw.Mounts[outside], saw.Mounts["etc"]
		followed := []check.Cause{
			check.Often(out != "", "the place is named by its path, so that a link in the root leads out of it"),
			check.Often(in != "", "a link is followed within the root, to a place that somebody else chose"),
			check.Often(errors.Is(err, context.DeadlineExceeded), "the place is opened to be read, and a named pipe waits for a writer")}
		check.True(t, did, out == "" && in == "" && !errors.Is(err, context.DeadlineExceeded),
			cmp.Or(out+in, check.Error(err)), "an error, and no mount there", followed...)
		fstype := map[string]string{"proc": "proc", "sys": "sysfs", "dev": "tmpfs"}[c.place]
		check.ErrorHas(t, did, err, []string{fstype, place})
		check.True(t, did, !strings.Contains(err.Error(), "\n"), "an error of many lines", "one line")
	}
}
