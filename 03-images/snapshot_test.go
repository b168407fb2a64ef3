package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestOverlayOptions(t *testing.T) {
	exercise.Need(t, "3.5")
	for _, c := range []struct {
		lower       []string
		upper, work string
		want        string
	}{
		{[]string{"/b", "/a"}, "/u", "/w", "userxattr,lowerdir=/b:/a,upperdir=/u,workdir=/w"},
		{[]string{"/b", "/a"}, "", "", "userxattr,lowerdir=/b:/a"},
		{[]string{"/a:b", `/c,d\e`}, "/u,v", "/w:x", `userxattr,lowerdir=/a\:b:/c\,d\\e,upperdir=/u\,v,workdir=/w\:x`},
	} {
		got, done, err := overlayOptions(c.lower, c.upper, c.work)
		did := fmt.Sprintf("overlayOptions(%v)", c.lower)
		check.NoError(t, did, err)
		done()
		check.Equal(t, did, c.want, got,
			check.Often(!strings.Contains(got, "userxattr"), "without userxattr root's marks are trusted.overlay.*: another format than an ordinary user's"),
			check.Often(strings.Contains(got, "lowerdir=/a:/b"), "the lowest layer is named first: overlay wants the topmost"),
			check.Often(strings.Contains(strings.Join(c.lower, ""), ":"), "a colon or comma in a path parts it in two"))
	}

	// More than a page.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	check.NoError(t, "make a folder", os.Mkdir(dir, 0o755))
	many := slices.Repeat([]string{dir}, os.Getpagesize()/100)
	open := descriptors(t)
	got, done, err := overlayOptions(many, dir, dir)
	did := fmt.Sprintf("overlayOptions of %d layers", len(many))
	check.NoError(t, did, err)
	fi, err := os.Stat(strings.SplitN(strings.TrimPrefix(got, "userxattr,lowerdir="), ":", 2)[0])
	check.NoError(t, "the first layer in it", err)
	check.True(t, did, fi.IsDir() && len(got) < os.Getpagesize(), fmt.Sprint(len(got), " bytes"), "less than a page",
		check.Often(true, "mount(2) reads one page of data and no more"))
	done()
	check.Equal(t, "descriptors open after "+did+" and done", open, descriptors(t), check.Often(true, "the layers' descriptors are never closed"))
	for n, short := range map[int]bool{os.Getpagesize() - 1: false, os.Getpagesize(): true} {
		left, lower := n-len("userxattr,lowerdir="), []string(nil)
		for ; left > 2500; left -= 2000 { // names may have as many slashes as they like
			lower = append(lower, dir+strings.Repeat("/", 1999-len(dir)))
		}
		lower = append(lower, dir+strings.Repeat("/", left-len(dir)))
		got, done, err := overlayOptions(lower, "", "")
		did := fmt.Sprintf("overlayOptions of folders whose names give %d bytes", n)
		check.NoError(t, did, err)
		done()
		check.True(t, did, strings.Contains(got, "=/proc/") == short, got[:min(len(got), 60)]+"…",
			map[bool]string{false: "their names, which fit into a page", true: "descriptors: a page ends in a zero byte"}[short])
	}
	if os.Getpagesize() == 4096 { // a larger one takes more descriptors than a process may have
		_, _, err = overlayOptions(slices.Repeat(many, 8), "", "")
		check.ErrorIs(t, "overlayOptions of more layers than fit into a page", err, ErrTooLarge)
		check.ErrorHas(t, "overlayOptions of more layers than fit into a page", err, []string{fmt.Sprint(8*len(many), " layers")})
		check.Equal(t, "descriptors open after that", open, descriptors(t), check.Often(true, "what was opened stays open after an error"))
	}
}

func TestAddLayer_WholeOrNotThere(t *testing.T) {
	exercise.Need(t, "3.5")
	sandbox.Need(t)
	s := newStore(t)
	_, err := s.LayerPath(chainOf("base"))
	check.ErrorIs(t, "LayerPath of a layer that is not there", err, ErrNotFound)
	torn := errors.New("the archive is torn")
	for range 2 {
		var found []os.DirEntry
		var visible error
		_, err := check.Within(t, "AddLayer, fill fails", "its return", func() (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), check.Deadline/2)
			defer cancel()
			return 0, s.AddLayer(ctx, chainOf("base"), "", func(dir string) (Applied, error) {
				found, _ = os.ReadDir(dir)
				_, visible = s.LayerPath(chainOf("base"))
				return Applied{}, errors.Join(torn, os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
			})
		}, check.Often(true, "the lock is waited for without end"))
		check.ErrorIs(t, "AddLayer, fill fails", err, torn, check.Often(errors.Is(err, context.DeadlineExceeded), "the lock is kept when fill fails"))
		check.Equal(t, "how much is in fill's folder", 0, len(found), check.Often(true, "what a failed try left is built upon"))
		check.ErrorIs(t, "LayerPath while the layer is filled", visible, ErrNotFound, check.Often(true, "it grows under its last name"))
		_, err = s.LayerPath(chainOf("base"))
		check.ErrorIs(t, "LayerPath after fill failed", err, ErrNotFound)
		check.Equal(t, "what is left in layers/ after fill failed", chainOf("base").Encoded()+".lock empty", list(t, s.Path("layers")),
			check.Often(!strings.Contains(list(t, s.Path("layers")), ".lock"), "the lock's file is removed after an error: who waits for it and who comes then have a lock each"))
	}
	putFile(t, s.Path("layers", chainOf("base").Encoded()+".new", "fs", "half"), "by a process that was killed")
	addLayer(t, s, "base", "", files(t, "etc/passwd"))
	dir, err := s.LayerPath(chainOf("base"))
	check.NoError(t, "LayerPath", err)
	check.Equal(t, "what is in layers/", chainOf("base").Encoded()+" empty", list(t, s.Path("layers")), check.Often(strings.Contains(list(t, s.Path("layers")), ".lock"), "the lock's file is never removed"))
	check.Equal(t, "the layer's files", "etc", list(t, dir), check.Often(strings.Contains(list(t, dir), "half"), "what a killed process left is built upon"))
	addLayer(t, s, "base", "", func(string) Applied { t.Error("fill is called for a layer that is there"); return Applied{} })

	err = s.AddLayer(t.Context(), chainOf("child"), chainOf("parent"), func(string) (Applied, error) {
		addLayer(t, s, "parent", "", files(t, "etc/passwd"))
		return Applied{}, nil
	})
	check.NoError(t, "AddLayer while the layer below is added, too", err,
		check.Often(errors.Is(err, ErrNotFound), "the layers below are asked for before fill has returned: layers could not be unpacked at once"))
	err = s.AddLayer(t.Context(), chainOf("escaping"), chainOf("parent"), func(string) (Applied, error) { return Applied{Implicit: []string{"../x"}}, nil })
	check.ErrorHas(t, "AddLayer with a folder outside", err, []string{"../x"})
	_, err = s.LayerPath(chainOf("escaping"))
	check.ErrorIs(t, "LayerPath after folders could not be mended", err, ErrNotFound, check.Often(true, "folders are mended when the layer has its name already: others see them as they are not"))
	for _, name := range []string{"child", "parent"} {
		check.NoError(t, "remove a layer", removeTree(s.layer(chainOf(name))))
	}

	err = s.AddLayer(t.Context(), chainOf("orphan"), chainOf("nowhere"), func(string) (Applied, error) { return Applied{}, nil })
	check.ErrorIs(t, "AddLayer on a layer that is not there", err, ErrNotFound)
	for _, bad := range []digest.Digest{"", "sha256:../../x", "sha512:" + digest.Digest(strings.Repeat("a", 128))} {
		err := s.AddLayer(t.Context(), bad, "", func(string) (Applied, error) { return Applied{}, nil })
		check.True(t, "AddLayer of "+string(bad), err != nil, "no error", "an error")
	}
	check.Equal(t, "what is left in layers/", chainOf("base").Encoded()+" empty", withoutLocks(list(t, s.Path("layers"))))
}

func withoutLocks(names string) string {
	var keep []string
	for name := range strings.FieldsSeq(names) {
		if !strings.HasSuffix(name, ".lock") {
			keep = append(keep, name)
		}
	}
	return strings.Join(keep, " ")
}

// add adds the layer "slow", slowly, and says whether it did the work.
func init() {
	helpers["add"] = func(arg ...string) error {
		s, err := Open(arg[0], Single)
		if err != nil {
			return err
		}
		return s.AddLayer(context.Background(), chainOf("slow"), "", func(dir string) (Applied, error) {
			fmt.Println("filled")
			time.Sleep(100 * time.Millisecond)
			return Applied{}, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
		})
	}
}

func TestAddLayer_OnceForAll(t *testing.T) {
	exercise.Need(t, "3.5")
	sandbox.Need(t)
	s := newStore(t)
	const all = 4
	outputs := make(chan string, all)
	for range all {
		go func() {
			out, err := another(t.Context(), "add", s.Path()).CombinedOutput()
			if err != nil {
				out = append(out, err.Error()...)
			}
			outputs <- string(out)
		}()
	}
	said := ""
	for range all {
		out, _ := check.Within(t, "AddLayer in four processes at once", "their end", func() (string, error) { return <-outputs, nil })
		said += out
	}
	check.Equal(t, "what is in layers/ after four processes added one layer at once", chainOf("slow").Encoded()+" empty", list(t, s.Path("layers")),
		check.Often(strings.Contains(said, "filled"), "who waited for the lock made its file anew, and leaves it there"))
	check.Equal(t, "what four processes did that add one layer at once", "filled\n", said,
		check.Often(strings.Count(said, "filled") > 1, "each unpacks for itself: whether it is there must be asked again under the lock"))

	filling, release := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	ended := make(chan error, 1)
	go func() {
		ended <- s.AddLayer(context.Background(), chainOf("held"), "", func(string) (Applied, error) { close(filling); <-release; return Applied{}, nil })
	}()
	check.Within(t, "AddLayer", "the call of fill", func() (int, error) { <-filling; return 0, nil })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := check.Within(t, "AddLayer while another does, its context ends", "its return", func() (int, error) {
		return 0, s.AddLayer(ctx, chainOf("held"), "", func(string) (Applied, error) { return Applied{}, nil })
	}, check.Often(true, "the lock is waited for without end"))
	check.ErrorIs(t, "AddLayer while another does, its context ends", err, context.DeadlineExceeded)
	free()
	_, err = check.Within(t, "the first AddLayer", "its return", func() (int, error) { return 0, <-ended })
	check.NoError(t, "the first AddLayer", err)
}

func TestMount_LayersAsOneTree(t *testing.T) {
	exercise.Need(t, "3.5")
	sandbox.Need(t, overlays)
	s := newStore(t)
	addLayer(t, s, "base", "", files(t, "etc/passwd", "etc/group", "old/file", "below"))
	addLayer(t, s, "middle", "base", func(dir string) Applied {
		putFile(t, filepath.Join(dir, "etc/group"), "of the middle")
		check.NoError(t, "make a whiteout", unix.Mknod(filepath.Join(dir, "below"), unix.S_IFCHR, 0))
		putFile(t, filepath.Join(dir, "old/new"), "")
		check.NoError(t, "make it opaque", unix.Setxattr(filepath.Join(dir, "old"), "user.overlay.opaque", []byte("y"), 0))
		return Applied{}
	})
	top := addLayer(t, s, "top", "middle", files(t, "bin/sh"))

	ro := mounted(t, func(target string) error { return s.MountReadonly(top, target) })
	check.Equal(t, "/ of the mounted layers", "bin etc old", list(t, ro), check.Often(strings.Contains(list(t, ro), "below"), "the layers are in the wrong order: the topmost comes first"))
	check.Equal(t, "/old, which the middle layer made opaque", "new", list(t, ro+"/old"), check.Often(true, "the mount is made without userxattr: the marks of deletion are not read"))
	noDevices(t, "MountReadonly", ro)
	group, err := os.ReadFile(ro + "/etc/group")
	check.NoError(t, "read /etc/group", err)
	check.Equal(t, "/etc/group", "of the middle", string(group))
	err = os.WriteFile(ro+"/file", nil, 0o644)
	check.ErrorIs(t, "to write to layers", err, unix.EROFS)

	var upper [2]string
	for i, id := range []string{"one", "two"} {
		sn, err := s.Prepare(t.Context(), id, top)
		check.NoError(t, "Prepare", err)
		tree := mounted(t, sn.Mount)
		noDevices(t, "Mount", tree)
		check.NoError(t, "remove a file", os.Remove(tree+"/etc/passwd"))
		putFile(t, tree+"/etc/"+id, id)
		check.Equal(t, "/etc after a change", "group "+id, list(t, tree+"/etc"))
		upper[i] = sn.Upper()
		check.Equal(t, "etc in Upper", map[string]string{"one": "one passwd", "two": "passwd two"}[id], list(t, upper[i]+"/etc"))
	}
	check.Equal(t, "/etc of the layers after two snapshots were changed", "group passwd", list(t, ro+"/etc"))
	err = s.MountReadonly(chainOf("nowhere"), t.TempDir())
	check.ErrorIs(t, "MountReadonly of a layer that is not there", err, ErrNotFound)
	t.Run("few or many", mountFewOrMany)
	t.Run("folders that no entry named", mountUnnamedFolders)
}

// noDevices fails unless device nodes are closed in a mounted tree.
func noDevices(t *testing.T, did, tree string) {
	t.Helper()
	var fs unix.Statfs_t
	check.NoError(t, "statfs", unix.Statfs(tree, &fs))
	check.True(t, did, fs.Flags&unix.ST_NODEV != 0, "device nodes work in it", "they do not (MS_NODEV)")
}

func mountFewOrMany(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), `a:store,with\all`), storeOwners())
	check.NoError(t, "Open", err)
	sn, err := s.Prepare(t.Context(), "scratch", "")
	check.NoError(t, "Prepare on nothing", err)
	tree := mounted(t, sn.Mount)
	putFile(t, tree+"/file", "")
	check.Equal(t, "Upper of a snapshot on nothing", "file", list(t, sn.Upper()))

	one := addLayer(t, s, "one", "", func(dir string) Applied {
		check.NoError(t, "chmod", os.Chmod(dir, 0o711))
		return files(t, "file")(dir)
	})
	ro := mounted(t, func(target string) error { return s.MountReadonly(one, target) })
	check.Equal(t, "/ of one layer", "file", list(t, ro))
	fi, err := os.Stat(ro)
	check.NoError(t, "stat", err)
	check.Equal(t, "the mode of / of one layer", "drwx--x--x", fi.Mode().String(), check.Often(true, "the empty layer lies on top: the root of the tree is its root"))
	check.ErrorIs(t, "MountReadonly of nothing", s.MountReadonly("", t.TempDir()), unix.EINVAL)

	parent := "one"
	for i := range MaxLayers - 1 {
		name := fmt.Sprint("layer", i)
		addLayer(t, s, name, parent, files(t, "dir/"+name))
		parent = name
	}
	sn, err = s.Prepare(t.Context(), "many", chainOf(parent))
	check.NoError(t, "Prepare", err)
	tree = mounted(t, sn.Mount)
	check.Equal(t, fmt.Sprintf("files in %d layers", MaxLayers), MaxLayers-1, len(strings.Fields(list(t, tree+"/dir"))))
	fds := descriptors(t)
	mounted(t, func(target string) error { return s.MountReadonly(chainOf(parent), target) })
	check.Equal(t, "descriptors open after a mount", fds, descriptors(t), check.Often(true, "the layers' descriptors are never closed"))
	addLayer(t, s, "toomany", parent, files(t))
	err = s.MountReadonly(chainOf("toomany"), t.TempDir())
	check.ErrorHas(t, "MountReadonly of one more", err, []string{"200 layers"})
}

func mountUnnamedFolders(t *testing.T) {
	s := newStore(t)
	at := time.Unix(1e9, 5)
	const id = 33
	addLayer(t, s, "base", "", func(dir string) Applied {
		for _, name := range []string{"var/private", "gone/sub", "file/sub"} {
			check.NoError(t, "make a folder", os.MkdirAll(filepath.Join(dir, name), 0o755))
		}
		for _, name := range []string{"var/private", "var", "gone/sub", "gone", "."} {
			name = filepath.Join(dir, name)
			check.NoError(t, "setxattr", unix.Setxattr(name, "user.note", []byte("kept"), 0))
			if storeOwners() == Kernel {
				check.NoError(t, "chown", os.Chown(name, id, id))
			}
			check.NoError(t, "chmod", os.Chmod(name, 0o710|fs.ModeSticky))
			check.NoError(t, "utimes", os.Chtimes(name, at, at))
		}
		return Applied{}
	})
	addLayer(t, s, "opaque", "base", func(dir string) Applied {
		check.NoError(t, "make a folder", os.MkdirAll(filepath.Join(dir, "gone"), 0o755))
		check.NoError(t, "make it opaque", unix.Setxattr(filepath.Join(dir, "gone"), "user.overlay.opaque", []byte("y"), 0))
		putFile(t, filepath.Join(dir, "file/sub"), "a file now")
		return Applied{Implicit: []string{".", "file"}}
	})
	top := addLayer(t, s, "top", "opaque", func(dir string) Applied {
		for _, name := range []string{"var/private/new", "gone/sub/new", "file/sub/new"} {
			putFile(t, filepath.Join(dir, name), "")
		}
		return Applied{Implicit: []string{".", "file", "file/sub", "gone", "gone/sub", "var", "var/private"}}
	})
	dir, err := s.LayerPath(top)
	check.NoError(t, "LayerPath", err)
	for _, name := range []string{".", "var", "var/private"} {
		var st unix.Stat_t
		check.NoError(t, "stat", unix.Lstat(filepath.Join(dir, name), &st))
		did := name + ", which no entry named and a layer below has,"
		check.Equal(t, did+" mode", "1710", fmt.Sprintf("%o", st.Mode&0o7777), check.Often(true, "the folder that was made for the file covers the one below"))
		check.Equal(t, did+" time", at.UnixNano(), st.Mtim.Nano())
		if storeOwners() == Kernel {
			check.Equal(t, did+" owner", id, int(st.Uid))
		}
		value := make([]byte, 8)
		n, err := unix.Getxattr(filepath.Join(dir, name), "user.note", value)
		check.NoError(t, did+" attribute", err)
		check.Equal(t, did+" attribute", "kept", string(value[:n]))
	}
	sn, err := s.Prepare(t.Context(), "one", top)
	check.NoError(t, "Prepare", err)
	fi, err := os.Stat(sn.Upper())
	check.NoError(t, "stat", err)
	check.Equal(t, "Upper's mode, which is that of the whole tree's root", fs.ModeDir|fs.ModeSticky|0o710, fi.Mode(), check.Often(true, "the upper folder covers the root of the layers below, whatever it was like"))
	for name, why := range map[string]string{"gone/sub": "the folder above it is opaque in between", "file/sub": "it is a file in between"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		check.NoError(t, "stat", err)
		check.Equal(t, name+": "+why+", mode", "drwxr-xr-x", fi.Mode().String(), check.Often(true, "every layer below is asked, also those that the one in between hides"))
	}
}

func TestLayerPath_AfterAPowerLoss(t *testing.T) {
	exercise.Need(t, "3.5")
	sandbox.Need(t)
	s := newStore(t)
	c := addLayer(t, s, "base", "", files(t, "file"))
	boot := filepath.Join(s.layer(c), "boot")
	for what, text := range map[string]string{"another boot": "of another time", "nothing": ""} {
		check.NoError(t, "write", os.WriteFile(boot, []byte(text), 0o644))
		_, err := s.LayerPath(c)
		check.ErrorIs(t, "LayerPath of a layer that was not synced, written by "+what, err, ErrNotFound,
			check.Often(err == nil, "a name that is there is believed: after a power loss the files may not be"))
		filled := false
		addLayer(t, s, "base", "", func(dir string) Applied {
			filled = true
			check.Equal(t, "what is in fill's folder", "", list(t, dir))
			return files(t, "file")(dir)
		})
		check.True(t, "AddLayer of it", filled, "fill is not called", "it is unpacked anew")
	}
	check.NoError(t, "Sync", s.Sync())
	check.NoError(t, "write", os.WriteFile(boot, []byte("of another time"), 0o644))
	_, err := s.LayerPath(c)
	check.NoError(t, "LayerPath of a layer that was synced, after another boot", err)
}
