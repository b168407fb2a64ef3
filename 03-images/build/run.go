package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	namespaces "coracle/01-namespaces"
	images "coracle/03-images"
)

// run runs a program in the tree, isolated as chapter 1 does it. It sees the
// step's environment, the tree, and the network unless it is to be offline.
func (b *Builder) run(ctx context.Context, s *Step, site *site) error {
	spec, err := namespaces.Default(site.dir, s.Args...)
	if err != nil {
		return err
	}
	who, err := lookup(site.root, s.User, func(int) int { return 0 })
	if err != nil {
		return err
	}
	spec.Hostname, spec.Root.Readonly, spec.Tmpfs = "build", false, nil
	spec.NoNewPrivs = false // su and sudo work in an image
	spec.Dir = s.Dir
	spec.Env = slices.Concat(s.Env, s.Proxy)
	if _, ok := getEnv(spec.Env, "HOME"); !ok {
		spec.Env = append(spec.Env, "HOME="+who.home)
	}
	if b.Store.Owners() == images.Single {
		if who.uid != 0 || who.gid != 0 {
			b.sayf("warning: line %d: there is one id here: this runs as root and not as %s\n", s.Line, s.User)
		}
	} else {
		spec.User = &namespaces.User{UID: who.uid, GID: who.gid, Groups: who.groups}
	}
	if err := site.makeDir(b, s.Dir, s.User); err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	site.borrow("proc", "sys", "dev")
	if !s.Offline {
		spec.Namespaces = slices.DeleteFunc(spec.Namespaces, func(n namespaces.Namespace) bool { return n.Type == namespaces.Net })
		for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
			if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() {
				site.borrow("etc", file[1:])
				spec.Mounts = append(spec.Mounts, namespaces.Mount{Source: file, Target: file, Readonly: true})
			}
		}
	}
	if s.Script != nil {
		site.borrow(scripts[1:], path.Join(scripts, s.Script.Name)[1:])
		err := site.root.Mkdir(scripts[1:], 0o755)
		if err == nil {
			err = site.root.WriteFile(path.Join(scripts, s.Script.Name)[1:], []byte(s.Script.Data), 0o755)
		}
		if err != nil {
			return err
		}
	}
	if err := b.supervise(ctx, spec); err != nil {
		return err
	}
	return site.giveBack()
}

// supervise starts the program and waits for it. It runs on the thread that the
// program dies with.
func (b *Builder) supervise(ctx context.Context, spec *namespaces.Spec) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p, err := namespaces.Start(spec, namespaces.Stdio{Out: w, Err: w})
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		defer r.Close()
		io.Copy(b.out(), r)
	}()
	stop := context.AfterFunc(ctx, func() { p.Kill() })
	status, err := p.Wait()
	stop()
	<-said // all that wrote to the pipe ended with their PID 1
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case status > 128 && status <= 128+64:
		return fmt.Errorf("it was ended by %v (status %d)", syscall.Signal(status-128), status)
	case status != 0:
		return fmt.Errorf("exit status %d", status)
	}
	return nil
}

// A site is a mounted snapshot that a step works on.
type site struct {
	dir  string
	root *os.Root

	lent   []string               // names that are made for the program alone
	before map[string]fs.FileInfo // folders in which that was
}

// borrow notes names that the program will find, and that must not be in the layer
// unless they were in the tree before.
func (s *site) borrow(names ...string) {
	for _, name := range names {
		fi, err := s.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			s.lent = append(s.lent, name)
		} else if err == nil && fi.IsDir() && name == "etc" {
			s.before = map[string]fs.FileInfo{name: fi}
		}
	}
}

// giveBack removes what was borrowed. A folder that the program put something into
// stays.
func (s *site) giveBack() error {
	for _, name := range slices.Backward(s.lent) {
		err := s.root.Remove(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// prune removes folders that are in upper only because something borrowed was
// mounted in them. The snapshot is not mounted any more.
func (s *site) prune(upper string) {
	for name, was := range s.before {
		p := path.Join(upper, name)
		if fi, err := os.Lstat(p); err == nil && fi.Mode() == was.Mode() && sameOwner(fi, was) {
			os.Remove(p) // only if it is empty
		}
	}
}

func sameOwner(a, b fs.FileInfo) bool {
	x, y := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	return x.Uid == y.Uid && x.Gid == y.Gid
}

// makeDir makes a folder that somebody owns, and those above it.
func (s *site) makeDir(b *Builder, dir, user string) error {
	who, err := lookup(s.root, user, func(int) int { return 0 })
	if err != nil {
		return err
	}
	p := &placer{root: s.root, owners: b.Store.Owners(), owner: &who}
	_, err = mkdirAll(s.root, dir, func(name string) error { return p.attributes(name, Entry{Mode: 0o755}, false) })
	return err
}

// look describes a folder as far as a layer of nothing else would tell.
func look(upper string) (string, error) {
	fi, err := os.Lstat(upper)
	if err != nil {
		return "", err
	}
	list, err := os.ReadDir(upper)
	st := fi.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d %v %d:%d", len(list), fi.Mode(), st.Uid, st.Gid), err
}
