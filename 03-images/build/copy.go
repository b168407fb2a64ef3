package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"

	images "coracle/03-images"
)

// files are what a COPY copies.
type files struct {
	tree    *Tree
	sources []Source
	seen    []seen // of each source, when the key was made
	exclude *patternmatcher.PatternMatcher
	close   bool // the tree is ours
}

// Close closes the tree, unless it is the context.
func (f *files) Close() {
	if f != nil && f.close {
		f.tree.Close()
	}
}

// locate finds the sources of a step in a tree.
func locate(t *Tree, s *Step) (*files, error) {
	f := &files{tree: t}
	for _, word := range s.Sources {
		found, err := t.Find(word)
		if err != nil {
			return f, err
		}
		f.sources = append(f.sources, found...)
	}
	if len(f.sources)+len(s.Files) == 0 {
		return f, fmt.Errorf("%s: nothing matches", strings.Join(s.Sources, " "))
	}
	if len(f.sources)+len(s.Files) > 1 && !strings.HasSuffix(s.Dest, "/") {
		return f, fmt.Errorf("%d sources to %s: a folder's name ends in /", len(f.sources)+len(s.Files), s.Dest)
	}
	if len(s.Exclude) > 0 {
		m, err := patternmatcher.New(s.Exclude)
		if err != nil {
			return f, fmt.Errorf("--exclude: %w", err)
		}
		f.exclude = m
	}
	return f, nil
}

// A placer makes files in a tree.
type placer struct {
	root   *os.Root
	owners images.Owners
	owner  *account     // --chown; nil: as the source's
	mode   *fs.FileMode // --chmod; nil: as the source's
	seen   *seen        // what is read of the source now
}

// copy carries out a COPY or ADD.
func (b *Builder) copy(ctx context.Context, s *Step, f *files, site *site) error {
	p := &placer{root: site.root, owners: b.Store.Owners(), mode: s.Chmod}
	if s.Chown != "" {
		a, err := lookup(site.root, s.Chown, func(uid int) int { return uid })
		if err != nil {
			return fmt.Errorf("--chown=%s: %w", s.Chown, err)
		}
		p.owner = &a
	}
	for i, src := range f.sources {
		p.seen = &seen{seed: f.seen[i].seed}
		err := p.source(ctx, s, f, src, site.dir)
		if err == nil && *p.seen != f.seen[i] {
			err = errors.New("it changed while it was copied: build again")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", src.Name, err)
		}
	}
	for _, inline := range s.Files {
		to, err := p.destination(s.Dest, Source{Name: inline.Name})
		if err == nil {
			err = p.file(to, Entry{Path: inline.Name, Mode: 0o644}, strings.NewReader(inline.Data))
		}
		if err != nil {
			return fmt.Errorf("<<%s: %w", inline.Name, err)
		}
	}
	return nil
}

// source copies one source, or unpacks it.
func (p *placer) source(ctx context.Context, s *Step, f *files, src Source, dir string) error {
	if s.Unpack && !src.Dir {
		if done, err := p.unpack(ctx, f.tree, src, dir, s.Dest); done || err != nil {
			return err
		}
	}
	to, err := p.destination(s.Dest, src)
	if err != nil {
		return err
	}
	for e, err := range p.seen.entries(f.tree.Entries(src, f.exclude)) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			name := to
			if src.Dir {
				name = path.Join(to, e.Path)
			}
			err = p.entry(f.tree, e, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// destination returns where a source goes, without links: a folder's contents into
// the folder dest, a file to dest, or into it if it is a folder or written as one.
func (p *placer) destination(dest string, src Source) (string, error) {
	made := func(name string) error { return p.attributes(name, Entry{Mode: 0o755 | fs.ModeDir}, false) }
	if src.Dir { // what is in it is copied, not what it is like itself
		return mkdirAll(p.root, dest, made)
	}
	at, err := resolve(p.root, dest, true)
	if err != nil {
		return "", err
	}
	fi, err := p.root.Lstat(at)
	if strings.HasSuffix(dest, "/") || err == nil && fi.IsDir() {
		at, err := mkdirAll(p.root, dest, made)
		return path.Join(at, src.Name), err
	}
	above, err := mkdirAll(p.root, path.Dir(dest), made)
	return path.Join(above, path.Base(dest)), err
}

// entry makes one entry of a source.
func (p *placer) entry(t *Tree, e Entry, name string) error {
	switch {
	case e.Mode.IsDir():
		return p.folder(name, e)
	case e.Mode&fs.ModeSymlink != 0:
		return p.link(name, e)
	}
	r, err := p.seen.open(t)(e)
	if err != nil {
		return err
	}
	defer r.Close()
	return p.file(name, e, r)
}

// folder makes a folder; one that is there keeps what it has.
func (p *placer) folder(name string, e Entry) error {
	fi, err := p.root.Lstat(name)
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil {
		return fmt.Errorf("/%s: there is a file of that name, where a folder is to be", name)
	}
	if err := p.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	return p.attributes(name, e, true)
}

// clear makes room for a file. A folder is not replaced by one.
func (p *placer) clear(name string) error {
	fi, err := p.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && fi.IsDir() {
		return fmt.Errorf("/%s: there is a folder of that name, where a file is to be", name)
	}
	if err == nil {
		err = p.root.Remove(name)
	}
	return err
}

func (p *placer) link(name string, e Entry) error {
	if err := p.clear(name); err != nil {
		return err
	}
	if err := p.root.Symlink(e.Link, name); err != nil {
		return err
	}
	if p.owner != nil {
		e.UID, e.GID = p.owner.uid, p.owner.gid
	}
	if p.owners == images.Single {
		return nil // a link has no attributes
	}
	return p.root.Lchown(name, e.UID, e.GID)
}

func (p *placer) file(name string, e Entry, r io.Reader) error {
	if err := p.clear(name); err != nil {
		return err
	}
	f, err := p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return p.attributes(name, e, true)
}

// attributes gives what was made its owner, mode and attributes. --chmod is for
// what is copied, not for the folders on the way there.
func (p *placer) attributes(name string, e Entry, chmod bool) error {
	f, err := p.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	a := images.Attributes{UID: e.UID, GID: e.GID, Xattrs: e.Xattrs}
	if p.owner != nil {
		a.UID, a.GID = p.owner.uid, p.owner.gid
	}
	if err := p.owners.SetAttributes(f, a); err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	mode := e.Mode
	if chmod && p.mode != nil {
		mode = *p.mode
	}
	return f.Chmod(mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky))
}
