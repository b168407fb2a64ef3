package images

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// A tarEntry is one entry of a test's layer. Kind 0 is a file, or a folder if the
// name ends in a slash; Mode 0 is 0644, or 0755.
type tarEntry struct {
	Name, Content, Link string
	Kind                byte
	Mode                int64
	Uid, Gid            int
	Time                int64
	Xattrs              map[string]string
}

// tarOf writes entries as they are, sensible or not.
func tarOf(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.Kind, Name: e.Name, Linkname: e.Link, Mode: e.Mode, Uid: e.Uid, Gid: e.Gid, ModTime: time.Unix(e.Time, 0), Size: int64(len(e.Content)), Format: tar.FormatPAX}
		folder := e.Kind == tar.TypeDir || e.Kind == 0 && strings.HasSuffix(e.Name, "/")
		switch {
		case e.Kind == tar.TypeXGlobalHeader:
			h = &tar.Header{Typeflag: e.Kind, Name: e.Name, PAXRecords: map[string]string{"comment": "x"}}
		case e.Kind != 0:
		case folder:
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag = tar.TypeReg
		}
		if e.Mode == 0 && e.Kind != tar.TypeXGlobalHeader {
			h.Mode = 0o644
			if folder {
				h.Mode = 0o755
			}
		}
		for name, value := range e.Xattrs {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+name] = value
		}
		if e.Uid < 0 {
			h.Format = tar.FormatGNU
		}
		check.NoError(t, "write the entry "+e.Name, w.WriteHeader(h))
		_, err := w.Write([]byte(e.Content))
		check.NoError(t, "write the content of "+e.Name, err)
	}
	check.NoError(t, "end the archive", w.Close())
	return b.Bytes()
}

// apply unpacks entries into dir.
func apply(t testing.TB, dir string, o ApplyOptions, entries ...tarEntry) Applied {
	t.Helper()
	o.Owners = storeOwners()
	a, err := Apply(context.Background(), bytes.NewReader(tarOf(t, entries...)), dir, o)
	check.NoError(t, "Apply", err)
	return a
}

// A tree's description: one line for each name, such as "-rwxr-xr-x 0:0 @5 content".
// Times are left out with -1.
type description map[string]string

func describe(t testing.TB, dir string, owners Owners, times bool) description {
	t.Helper()
	all := description{}
	inodes := map[uint64]string{}
	check.NoError(t, "look at "+dir, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			all[name] = "whiteout"
			return nil
		}
		if first, ok := inodes[st.Ino]; ok && !e.IsDir() {
			all[name] = "is " + first
			return nil
		}
		inodes[st.Ino] = name
		fi, err := e.Info()
		if err != nil {
			return err
		}
		line := fi.Mode().String()
		owner, xattrs := fmt.Sprintf("%d:%d", st.Uid, st.Gid), map[string]string{}
		if fi.Mode().IsRegular() || fi.IsDir() {
			if xattrs, err = xattrsOf(path); err != nil {
				return err
			}
		}
		if owners == Single {
			owner = "0:0"
			if o, ok := xattrs["user.coracle.owner"]; ok {
				owner = o
			}
			delete(xattrs, "user.coracle.owner")
		}
		if owner != "0:0" {
			line += " " + owner
		}
		if times {
			line += fmt.Sprintf(" @%d", st.Mtim.Sec)
		}
		for _, key := range slices.Sorted(maps.Keys(xattrs)) {
			line += fmt.Sprintf(" %s=%q", key, xattrs[key])
		}
		switch {
		case fi.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %.200q", content)
		case fi.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		all[name] = line
		return nil
	}))
	return all
}

// xattrsOf leaves out what overlay keeps for itself.
func xattrsOf(path string) (map[string]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.Trim(string(list[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") && name != "security.capability" || strings.HasPrefix(name, "user.overlay.") && name != "user.overlay.opaque" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		all[name] = string(value[:n])
	}
	return all, nil
}

// sameTree compares two descriptions, and says the first name that differs.
func sameTree(t testing.TB, did string, want, got description, causes ...check.Cause) {
	t.Helper()
	names := slices.Sorted(maps.Keys(want))
	names = append(names, slices.Sorted(maps.Keys(got))...)
	for _, name := range names {
		w, g := want[name], got[name]
		if w == "" {
			w = "nothing"
		}
		if g == "" {
			g = "nothing"
		}
		check.True(t, did+": "+name, w == g, g, w, causes...)
	}
}

// overlay mounts folders as one, the way that every mount of ours is made.
func overlay(t testing.TB, lower []string, upper string) (merged string) {
	t.Helper()
	base := t.TempDir()
	merged = filepath.Join(base, "merged")
	work := filepath.Join(base, "work")
	if upper != "" { // on the file system that the upper folder is on
		work = upper + ".work"
		check.NoError(t, "make the work folder", os.MkdirAll(work, 0o700))
	}
	check.NoError(t, "make the mount point", os.MkdirAll(merged, 0o755))
	data := "userxattr,lowerdir=" + strings.Join(lower, ":")
	if upper != "" {
		data += ",upperdir=" + upper + ",workdir=" + work
	}
	check.NoError(t, "mount overlay "+data, unix.Mount("overlay", merged, "overlay", 0, data))
	t.Cleanup(func() {
		if err := unix.Unmount(merged, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return merged
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int { return len(strings.Fields(list(t, "/proc/self/fd"))) }
