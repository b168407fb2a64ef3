package build

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"

	images "coracle/03-images"
)

// Entries yields what is copied of a source, folders before what they hold, sorted,
// so that the same files always come in the same order. A folder that is left out
// comes all the same if something below it does not stay behind.
func (t *Tree) Entries(src Source, exclude *patternmatcher.PatternMatcher) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if !src.Dir {
			e, err := t.entry(src.at, src.Name)
			yield(e, err)
			return
		}
		w := walk{tree: t, yield: yield, ignore: t.ignore, exclude: exclude}
		// What the folder is like itself is not copied; that it is one counts.
		if yield(Entry{Path: ".", Mode: fs.ModeDir | 0o755, name: src.at}, nil) {
			w.folder(src.at, ".", nil)
		}
	}
}

// Open opens an entry that is a file.
func (t *Tree) Open(e Entry) (io.ReadCloser, error) {
	f, err := t.root.OpenFile(e.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (t *Tree) entry(name, as string) (Entry, error) {
	fi, err := t.root.Lstat(name)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Path: as, Mode: fi.Mode() & (fs.ModeType | fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), name: name}
	switch fi.Mode().Type() {
	case fs.ModeSymlink:
		e.Mode = fs.ModeSymlink | 0o777
		e.Link, err = t.root.Readlink(name)
	case 0, fs.ModeDir:
	default:
		err = fmt.Errorf("%s: it is neither file nor folder nor link (%s): leave it out with .dockerignore or --exclude", name, fi.Mode().Type())
	}
	if err == nil && t.guest {
		err = t.attributes(&e, fi)
	}
	return e, err
}

// attributes completes an entry of an image. A link has an owner and no more.
func (t *Tree) attributes(e *Entry, fi fs.FileInfo) error {
	if st := fi.Sys().(*syscall.Stat_t); e.Link != "" {
		if t.owners == images.Kernel {
			e.UID, e.GID = int(st.Uid), int(st.Gid)
		}
		return nil
	}
	f, err := t.root.OpenFile(e.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := t.owners.Attributes(f)
	e.UID, e.GID, e.Xattrs = a.UID, a.GID, a.Xattrs
	return err
}

// A walk goes down a folder.
type walk struct {
	tree            *Tree
	yield           func(Entry, error) bool
	ignore, exclude *patternmatcher.PatternMatcher
}

// folder yields what is in dir; pending are the folders above that are left out
// themselves. It returns false when no more is wanted.
func (w *walk) folder(dir, as string, pending []Entry) bool {
	d, err := w.tree.root.Open(dir)
	if err != nil {
		return w.yield(Entry{}, err)
	}
	list, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return w.yield(Entry{}, err)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, item := range list {
		name, below := path.Join(dir, item.Name()), path.Join(as, item.Name())
		out, deeper, err := w.left(name, below)
		if err != nil {
			return w.yield(Entry{}, err)
		}
		if out && !(item.IsDir() && deeper) {
			continue
		}
		e, err := w.tree.entry(name, below)
		if err != nil {
			return w.yield(Entry{}, err)
		}
		above := append(slices.Clip(pending), e)
		if !out {
			for _, a := range above {
				if !w.yield(a, nil) {
					return false
				}
			}
			pending, above = nil, nil
		}
		if item.IsDir() && !w.folder(name, below, above) {
			return false
		}
	}
	return true
}

// left says whether a name stays behind, and whether something below it might not.
func (w *walk) left(name, below string) (out, deeper bool, err error) {
	deeper = true
	for _, m := range []struct {
		*patternmatcher.PatternMatcher
		name string
	}{{w.ignore, name}, {w.exclude, below}} {
		if m.PatternMatcher == nil {
			continue
		}
		is, err := m.MatchesOrParentMatches(m.name)
		if err != nil {
			return false, false, err
		}
		if is {
			out, deeper = true, deeper && m.Exclusions()
		}
	}
	return out, deeper, nil
}
