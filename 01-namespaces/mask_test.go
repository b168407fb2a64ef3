package namespaces

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// maskTree is what each child finds below a folder of its own, which is a tmpfs.
//
//	file, pipe, folder/inside, link → folder, loop → loop, mounted (a tmpfs)/inside
func maskTree(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""),
		os.Mkdir(at("folder"), 0o755), os.Mkdir(at("mounted"), 0o755),
		unix.Mount("tmpfs", at("mounted"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""),
		os.WriteFile(at("file"), []byte("secret"), 0o644), unix.Mkfifo(at("pipe"), 0o644),
		os.WriteFile(at("folder/inside"), []byte("secret"), 0o644), os.WriteFile(at("mounted/inside"), []byte("secret"), 0o644),
		os.Symlink("folder", at("link")), os.Symlink("loop", at("loop")))
}

func pathsIn(dir string, names []string) []string {
	var paths []string
	for _, n := range names {
		paths = append(paths, filepath.Join(dir, n))
	}
	return paths
}

// maskSaw is by name: what is read there, or the errno.
type maskSaw struct {
	Read   map[string]string
	Lists  map[string][]string
	Writes map[string]string // errno of making or changing a file there
	Mounts map[string]string
}

func seeMasked(dir string) maskSaw {
	saw := maskSaw{Read: map[string]string{}, Lists: map[string][]string{}, Writes: map[string]string{}, Mounts: map[string]string{}}
	for _, name := range []string{"file", "pipe", "folder/inside", "mounted/inside"} {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDONLY|unix.O_NONBLOCK, 0)
		text := make([]byte, 64)
		n := 0
		if err == nil {
			n, err = unix.Read(fd, text)
			unix.Close(fd)
		}
		saw.Read[name] = string(text[:max(n, 0)]) + errnoName(err)
	}
	for _, name := range []string{"folder", "link"} {
		entries, _ := os.ReadDir(filepath.Join(dir, name))
		saw.Lists[name] = []string{}
		for _, e := range entries {
			saw.Lists[name] = append(saw.Lists[name], e.Name())
		}
	}
	for _, name := range []string{"new", "file", "folder/new", "mounted/new"} {
		saw.Writes[name] = errnoName(os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	for place, is := range mountTable() {
		saw.Mounts[strings.TrimPrefix(place, dir+"/")] = is
	}
	return saw
}

var maskChild = reporting("mask", func(args []string) (any, error) {
	if err := maskTree(args[0]); err != nil {
		return nil, err
	}
	err := Mask(pathsIn(args[0], args[1:]))
	return seeMasked(args[0]), err
})

func maskIn(t *testing.T, names ...string) maskSaw {
	t.Helper()
	saw, err := reportOf[maskSaw](t, maskChild, unix.CLONE_NEWNS, append([]string{t.TempDir()}, names...)...)
	check.NoError(t, "Mask("+strings.Join(names, ", ")+")", err,
		check.Often(errors.Is(err, context.DeadlineExceeded), "the path is opened to see what it is, and a named pipe waits for a writer"),
		check.Often(errors.Is(err, unix.ENOTDIR) && names[0] == "link", "the link is looked at, and not what it leads to, which is what a mount covers"),
		check.Often(errors.Is(err, unix.ENOTDIR), "a directory and a file are covered alike, but neither can lie on the other"),
		check.Often(errors.Is(err, os.ErrNotExist), "a path that does not exist is an error"))
	return saw
}

func TestMask_Covers(t *testing.T) {
	exercise.Need(t, "1.5")
	sandbox.Need(t)
	saw := maskIn(t, "file", "folder")
	check.Equal(t, "what a masked file holds", "", saw.Read["file"])
	check.Equal(t, "what a masked directory lists", []string{}, saw.Lists["folder"])
	check.Equal(t, "making a file in a masked directory", "EROFS", saw.Writes["folder/new"],
		check.Often(saw.Writes["folder/new"] == "", "the covering tmpfs can be written, and filled until memory is out"))
	check.Equal(t, "making a file beside what is masked", "", saw.Writes["new"])
	check.Equal(t, "what a masked link's directory lists", []string{}, maskIn(t, "link").Lists["link"])
	check.Equal(t, "what a masked pipe holds", "", maskIn(t, "pipe").Read["pipe"])
}

func TestMask_SkipsWhatIsMissing(t *testing.T) {
	exercise.Need(t, "1.5")
	sandbox.Need(t)
	saw := maskIn(t, "missing", "folder/missing", "file")
	check.Equal(t, "a masked file after two paths that are missing", "", saw.Read["file"],
		check.Often(saw.Read["file"] == "secret", "the first path that is missing ends the list"))
	_, err := reportOf[maskSaw](t, maskChild, unix.CLONE_NEWNS, t.TempDir(), "loop")
	check.ErrorHas(t, "Mask(loop), a link to itself", err, []string{"/loop"}, tookForMissing(err))
}

func tookForMissing(err error) check.Cause {
	return check.Often(err == nil, "every error is taken for a path that is missing, and what should be covered is left open")
}

// A child puts something else in the place of /dev/null.
var falseNullChild = reporting("false-null", func(args []string) (any, error) {
	dir, what := args[0], args[1]
	if what == "link" { // a /dev of its own, with the tree in it
		dir = "/dev/tree"
		if err := errors.Join(unix.Mount("tmpfs", "/dev", "tmpfs", 0, ""), os.Mkdir(dir, 0o755), os.Symlink("tree/folder/inside", "/dev/null")); err != nil {
			return nil, err
		}
	}
	err := maskTree(dir)
	switch {
	case err == nil && what == "file":
		err = unix.Mount(filepath.Join(dir, "folder/inside"), "/dev/null", "", unix.MS_BIND, "")
	case err == nil && what == "pipe":
		err = unix.Mount(filepath.Join(dir, "pipe"), "/dev/null", "", unix.MS_BIND, "")
	case err == nil && what == "zero":
		err = unix.Mount("/dev/zero", "/dev/null", "", unix.MS_BIND, "")
	}
	if err != nil {
		return nil, err
	}
	err = Mask([]string{filepath.Join(dir, "file")})
	return seeMasked(dir).Mounts, err
})

func TestMask_OnlyTheNullDevice(t *testing.T) {
	exercise.Need(t, "1.5")
	sandbox.Need(t)
	for _, what := range []string{"file", "zero", "link", "pipe"} {
		mounts, err := reportOf[map[string]string](t, falseNullChild, unix.CLONE_NEWNS, t.TempDir(), what)
		did := "Mask where /dev/null is a " + map[string]string{"file": "file", "zero": "zero device", "link": "link to a file", "pipe": "named pipe"}[what]
		check.ErrorHas(t, did, err, []string{"/dev/null"},
			check.Often(errors.Is(err, context.DeadlineExceeded), "the path is opened to see what it is, and a named pipe waits for a writer"),
			check.Often(err == nil && mounts["file"] != "", "whatever is called /dev/null is bound, which in an image can be anything"))
		check.Equal(t, "the mount on the path after "+did, "", mounts["file"])
	}
}

var readonlyChild = reporting("readonly", func(args []string) (any, error) {
	dir := args[0]
	other, names := dir+"-other", args[1:]
	// In a user namespace of its own the tree comes from outside, with its flags.
	if args[1] == "locked" {
		names = args[2:]
	} else if err := maskTree(dir); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Mkdir(other, 0o755), unix.Mount(dir, other, "", unix.MS_BIND, "")); err != nil {
		return nil, err
	}
	err := Readonly(pathsIn(dir, names))
	saw := seeMasked(dir)
	saw.Writes["other"] = errnoName(os.WriteFile(filepath.Join(other, "folder/other"), nil, 0o644))
	return saw, err
})

func readonlyIn(t *testing.T, flags uintptr, names ...string) maskSaw {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dir")
	check.NoError(t, "make folders", os.MkdirAll(filepath.Join(dir, "folder"), 0o755))
	did := "Readonly(" + strings.Join(names, ", ") + ")"
	if flags&unix.CLONE_NEWUSER != 0 {
		did += " in a user namespace"
		names = append([]string{"locked"}, names...)
	}
	saw, err := reportOf[maskSaw](t, readonlyChild, flags, append([]string{dir}, names...)...)
	check.NoError(t, did, err,
		check.Often(errors.Is(err, unix.EPERM) && flags&unix.CLONE_NEWUSER != 0, "the remount leaves out flags that were there, nosuid and nodev"),
		check.Often(errors.Is(err, unix.EINVAL), "a path is remounted that is no mount point: bind it on itself before"),
		check.Often(errors.Is(err, os.ErrNotExist), "a path that does not exist is an error"))
	return saw
}

var everywhere = check.Often(true, "the file system is remounted, not the mount: without MS_BIND it becomes read-only everywhere")

func TestReadonly_Tree(t *testing.T) {
	exercise.Need(t, "1.5")
	sandbox.Need(t)
	saw := readonlyIn(t, unix.CLONE_NEWNS, "folder", "mounted", "file")
	ignored := check.Often(true, "MS_RDONLY is given in the call that binds, which ignores it")
	for _, name := range []string{"folder/new", "mounted/new", "file"} {
		check.Equal(t, "writing "+name+" after Readonly", "EROFS", saw.Writes[name], ignored)
	}
	check.Equal(t, "writing beside it", "", saw.Writes["new"], everywhere)
	check.Equal(t, "writing the same folder by another mount", "", saw.Writes["other"], everywhere)
	saw = readonlyIn(t, unix.CLONE_NEWNS, "missing", "folder")
	check.Equal(t, "writing a folder after Readonly(missing, folder)", "EROFS", saw.Writes["folder/new"],
		check.Often(saw.Mounts["folder"] == "", "the first path that is missing ends the list"))
	saw = readonlyIn(t, unix.CLONE_NEWNS, ".")
	check.Equal(t, "reading a mount below the top of a tree after Readonly", "secret", saw.Read["mounted/inside"],
		check.Often(saw.Read["mounted/inside"] == "ENOENT", "the bind is without MS_REC, and what was mounted below is gone from sight"))
	check.Equal(t, "writing the top of a tree after Readonly", "EROFS", saw.Writes["new"], ignored)
	check.Equal(t, "writing a mount below it", "EROFS", saw.Writes["mounted/new"],
		check.Often(saw.Writes["mounted/new"] == "", "only the topmost mount is made read-only, those below it stay as they are"))
	_, err := reportOf[maskSaw](t, readonlyChild, unix.CLONE_NEWNS, t.TempDir(), "loop")
	check.ErrorHas(t, "Readonly(loop), a link to itself", err, []string{"/loop"}, tookForMissing(err))
}

func TestReadonly_LockedFlags(t *testing.T) {
	exercise.Need(t, "1.5")
	sandbox.Need(t)
	for _, flags := range []uintptr{unix.CLONE_NEWNS, unix.CLONE_NEWNS | unix.CLONE_NEWUSER} {
		saw := readonlyIn(t, flags, "folder")
		check.Equal(t, "writing the same folder by another mount", "", saw.Writes["other"], everywhere)
		check.Equal(t, "writing there", "EROFS", saw.Writes["folder/new"])
		for _, flag := range []string{"ro", "nosuid", "nodev"} {
			check.True(t, "the flags of a mount after Readonly", strings.Contains(saw.Mounts["folder"], flag), saw.Mounts["folder"], flag+" among them",
				check.Often(flag != "ro", "the remount leaves out flags that were there, nosuid and nodev"))
		}
	}
}
