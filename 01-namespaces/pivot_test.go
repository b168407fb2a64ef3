package namespaces

import (
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

// pivotSaw is what a child sees of the file system after PivotRoot, also after a
// PivotRoot that failed.
type pivotSaw struct {
	Entries     []string // of /
	Below       bool     // the file of the mount below root is there
	Dir         string   // working directory, as the kernel tells it
	Mounts      string   // mountinfo
	Outer       string   // mountinfo of the namespace that it was copied from
	Escaped     bool     // a second chroot found the old root
	Write       string   // errno of writing to /, "" for success
	WriteBelow  string   // the same on the mount below root
	SharedRoot  bool     // / is still shared
	SharedMount bool     // some mount is
	Flags       string   // of the mount at /
}

// A child builds root and a mount below it, a marker outside, and pivots.
var pivotChild = reporting("pivot", func(args []string) (any, error) {
	root, readonly, shared := args[0], slices.Contains(args, "readonly"), slices.Contains(args, "shared")
	outside, below := filepath.Join(filepath.Dir(root), "outside"), filepath.Join(root, "below")
	for _, err := range []error{
		// Flags that the root's mount has, as those of /tmp and /home do on many machines.
		unix.Mount("holder", filepath.Dir(root), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""),
		os.Mkdir(root, 0o755), os.Mkdir(outside, 0o755), os.Mkdir(below, 0o755), os.Mkdir(filepath.Join(root, "folder"), 0o777),
		unix.Mount("outside", outside, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""),
		unix.Mount("below", below, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""),
		os.WriteFile(filepath.Join(below, "here"), nil, 0o644),
	} {
		if err != nil {
			return nil, err
		}
	}
	if shared { // as / is on most machines
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			return nil, err
		}
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	outer, err := os.Open("/proc/thread-self/mountinfo") // stays with the namespace, and with its /
	if err != nil {
		return nil, err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	failed := PivotRoot(root, readonly)
	return seeRoot(proc, outer, outside, failed == nil), failed
})

func seeRoot(proc int, outer *os.File, outside string, pivoted bool) pivotSaw {
	var saw pivotSaw
	saw.Mounts = readAt(proc, "thread-self/mountinfo")
	for line := range strings.Lines(saw.Mounts) {
		if f := strings.Fields(line); strings.Contains(line, " shared:") {
			saw.SharedMount = true
			saw.SharedRoot = saw.SharedRoot || f[4] == "/"
		} else if f[4] == "/" {
			saw.Flags = f[5]
		}
	}
	if !pivoted {
		return saw
	}
	saw.Dir, _ = unix.Getwd()
	entries, _ := os.ReadDir("/")
	for _, e := range entries {
		saw.Entries = append(saw.Entries, e.Name())
	}
	_, err := os.Stat("/below/here")
	saw.Below = err == nil
	saw.Write = errnoName(os.WriteFile("/new", nil, 0o644))
	saw.WriteBelow = errnoName(os.WriteFile("/below/new", nil, 0o644))
	saw.Escaped = escape(outside)
	unix.Mount("inside", "/folder", "tmpfs", 0, "")
	text, _ := io.ReadAll(outer) // a single read gives a page of it
	saw.Outer = string(text)
	return saw
}

// escape leaves a chroot as any root can: a second one leaves the working
// directory outside of it, and from there ".." leads to the real root.
func escape(outside string) bool {
	if unix.Chroot("/folder") != nil {
		return false
	}
	for range 64 {
		unix.Chdir("..")
	}
	unix.Chroot(".")
	_, err := os.Stat(outside)
	unix.Fchdir(unix.AT_FDCWD)
	return err == nil
}

func readAt(dir int, name string) string {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	text, _ := io.ReadAll(f)
	return string(text)
}

// errnoName is "EROFS", "" for no error.
func errnoName(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func pivotIn(t *testing.T, args ...string) pivotSaw {
	t.Helper()
	root := filepath.Join(t.TempDir(), "newroot")
	saw, err := reportOf[pivotSaw](t, pivotChild, unix.CLONE_NEWNS, append([]string{root}, args...)...)
	did := fmt.Sprintf("PivotRoot(root, %v)", slices.Contains(args, "readonly"))
	if slices.Contains(args, "shared") {
		did += " where / is shared"
	}
	check.NoError(t, did, err,
		check.Often(errors.Is(err, unix.EINVAL) && saw.SharedRoot, "the mounts are left shared, as the copy made them"),
		check.Often(errors.Is(err, unix.EINVAL) && saw.SharedMount, "only / is made private: without MS_REC every other mount stays shared"),
		check.Often(errors.Is(err, unix.EINVAL) && strings.Contains(saw.Mounts, root+" "),
			"the working directory is from before the bind, so . is the folder below it"),
		check.Often(errors.Is(err, unix.EINVAL), "the new root is a directory, not a mount point"),
		check.Often(errors.Is(err, unix.EBUSY), "the old root is unmounted without MNT_DETACH, while it is busy"))
	return saw
}

func TestPivotRoot_TheDirectoryIsTheRoot(t *testing.T) {
	exercise.Need(t, "1.3")
	sandbox.Need(t)
	saw := pivotIn(t)
	check.Equal(t, "what is in / after PivotRoot", []string{"below", "folder"}, slices.DeleteFunc(saw.Entries, func(s string) bool { return s == "new" }))
	check.True(t, "what was mounted below root", saw.Below, "gone", "still mounted",
		check.Often(!saw.Below, "the root is bound without MS_REC, so what is mounted below it stays behind"))
	check.Equal(t, "the working directory", "/", saw.Dir,
		check.Often(true, "the working directory still belongs to the old root"))
}

func TestPivotRoot_NothingPropagates(t *testing.T) {
	exercise.Need(t, "1.3")
	sandbox.Need(t)
	saw := pivotIn(t, "shared")
	check.True(t, "mountinfo of the caller's namespace", strings.Contains(saw.Outer, "/outside "), "unreadable", "the marker in it")
	shows := strings.Contains(saw.Outer, " inside ") || strings.Contains(saw.Outer, "/newroot ")
	check.True(t, "mounts made after the pivot", !shows, "seen in the caller's namespace", "private",
		check.Often(shows, "the mounts are made private only after the first of them was made"))
}

func TestPivotRoot_NoWayBack(t *testing.T) {
	exercise.Need(t, "1.3")
	sandbox.Need(t)
	saw := pivotIn(t)
	check.True(t, "the mounts left after PivotRoot", !strings.Contains(saw.Mounts, "outside"), "one of the old root's", "only the root's own",
		check.Often(true, "the old root is never unmounted"))
	check.True(t, "a chroot, and .. 64 times, after PivotRoot", !saw.Escaped, "the old root again", "the new root still",
		check.Often(saw.Escaped, "chroot only changes where paths begin: the old root is still mounted"))
}

func TestPivotRoot_Readonly(t *testing.T) {
	exercise.Need(t, "1.3")
	sandbox.Need(t)
	saw := pivotIn(t)
	check.Equal(t, "writing to / after PivotRoot(root, false)", "", saw.Write)
	saw = pivotIn(t, "readonly")
	check.Equal(t, "writing to / after PivotRoot(root, true)", "EROFS", saw.Write,
		check.Often(saw.Write == "", "MS_RDONLY is given in the call that binds, which ignores it"))
	check.Equal(t, "writing to a mount below a read-only /", "", saw.WriteBelow,
		check.Often(!saw.Below, "the root is bound without MS_REC, so what is mounted below it stays behind"),
		check.Often(saw.WriteBelow == "EROFS", "every mount below the root is made read-only, /dev and all"))
	kept := strings.Contains(saw.Flags, "nosuid") && strings.Contains(saw.Flags, "nodev")
	check.True(t, "the flags of / after PivotRoot(root, true), where root was nosuid,nodev", kept, saw.Flags, "these two still",
		check.Often(true, "a remount sets all flags anew, and those that the mount had are not repeated"))
}

// A child tries roots that are none, and says whether a mount came of it.
var pivotRefuseChild = reporting("pivot-refuse", func(args []string) (any, error) {
	before, _ := os.ReadFile("/proc/thread-self/mountinfo")
	err := PivotRoot(args[0], false)
	after, _ := os.ReadFile("/proc/thread-self/mountinfo")
	return string(before) == string(after), err
})

func TestPivotRoot_RefusesFilesAndLinks(t *testing.T) {
	exercise.Need(t, "1.3")
	sandbox.Need(t)
	dir := t.TempDir()
	file, link, missing := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "missing")
	check.NoError(t, "make a file", os.WriteFile(file, nil, 0o644))
	check.NoError(t, "make a link", os.Symlink(os.TempDir(), link))
	for _, root := range []string{file, missing, link} {
		same, err := reportOf[bool](t, pivotRefuseChild, unix.CLONE_NEWNS, root)
		did := "PivotRoot of a " + filepath.Base(root)
		check.ErrorHas(t, did, err, []string{root},
			check.Often(err == nil && root == link, "a symbolic link in place of the root is followed"),
			check.Often(root == link, "the error leaves out which root it is about"))
		check.True(t, did, !strings.Contains(err.Error(), "\n"), "an error of many lines", "one line")
		check.True(t, "the mounts after "+did, same, "others than before", "the same as before",
			check.Often(true, "mounts are changed before the root is looked at"))
	}
}
