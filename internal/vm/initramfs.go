package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"coracle/internal/vm/wire"
)

// tree is the guest's root before it is written: later files replace earlier ones, and a name is placed through the
// symlinks that are there already, as /sbin/x is where /sbin points to usr/sbin.
type tree map[string]leaf

type leaf struct {
	mode fs.FileMode
	host string // where the content is, or
	data []byte // what it is
	rdev [2]uint32
}

func (t tree) resolve(name string) string {
	dir := "/"
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		next := path.Join(dir, part)
		for range 40 { // what the kernel follows, too
			l, ok := t[next]
			if !ok || l.mode&fs.ModeSymlink == 0 {
				break
			}
			target := string(l.data)
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(next), target)
			}
			next = path.Clean(target)
		}
		dir = next
	}
	return dir
}

// put places a leaf and, where they are missing, the directories above it.
func (t tree) put(name string, l leaf) {
	parent := t.resolve(path.Dir(name))
	for dir := parent; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if _, ok := t[dir]; !ok {
			t[dir] = leaf{mode: fs.ModeDir | 0o755}
		}
	}
	name = path.Join(parent, path.Base(name))
	if old, ok := t[name]; ok && l.mode.IsDir() && old.mode&fs.ModeSymlink != 0 {
		return // a directory laid over a link to one
	}
	t[name] = l
}

// addFile adds one file, or all that is below a directory.
func (t tree) addFile(f File) error {
	if !path.IsAbs(f.Guest) {
		return fmt.Errorf("file %q for the virtual machine: its path there must begin with /", f.Guest)
	}
	for _, mount := range []string{"/dev", "/proc", "/run", "/sys"} {
		if strings.HasPrefix(path.Clean(f.Guest), mount+"/") {
			return fmt.Errorf("file %s for the virtual machine: something is mounted on %s there and hides it; put it elsewhere", f.Guest, mount)
		}
	}
	if f.Host == "" {
		t.put(f.Guest, leaf{mode: cmpMode(f.Mode, 0o644), data: f.Data})
		return nil
	}
	st, err := os.Stat(f.Host)
	if err != nil {
		return fmt.Errorf("file for the virtual machine: %w", err)
	}
	if !st.IsDir() {
		if !st.Mode().IsRegular() {
			return fmt.Errorf("file for the virtual machine: %s is neither a file nor a directory", f.Host)
		}
		t.put(f.Guest, leaf{mode: cmpMode(f.Mode, st.Mode()), host: f.Host})
		return nil
	}
	root, err := filepath.EvalSymlinks(f.Host)
	if err != nil {
		return fmt.Errorf("file for the virtual machine: %w", err)
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("file for the virtual machine: %w", err)
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone since it was listed
		}
		rel, _ := filepath.Rel(root, p)
		guest := path.Join(f.Guest, filepath.ToSlash(rel))
		switch {
		case info.IsDir():
			if guest != "/" {
				t.put(guest, leaf{mode: info.Mode()})
			}
		case info.Mode().IsRegular():
			t.put(guest, leaf{mode: info.Mode(), host: p})
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return fmt.Errorf("file for the virtual machine: %w", err)
			}
			t.put(guest, leaf{mode: fs.ModeSymlink | 0o777, data: []byte(target)})
		}
		return nil // sockets and devices stay here
	})
}

func cmpMode(mode, otherwise fs.FileMode) fs.FileMode {
	if mode == 0 {
		return otherwise
	}
	return mode
}

// write writes the archive. An open costs as much as a small file's content, so everything goes through one buffer.
func (t tree) write(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	archive := cpioWriter{w: buffered}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if err := t.writeOne(&archive, name); err != nil {
			return err
		}
	}
	if err := archive.close(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	return nil
}

func (t tree) writeOne(archive *cpioWriter, name string) error {
	l := t[name]
	e := cpioEntry{name: strings.TrimPrefix(name, "/"), mode: l.mode, rdev: l.rdev,
		size: int64(len(l.data)), body: bytes.NewReader(l.data)}
	if l.host != "" {
		f, err := os.Open(l.host)
		if err != nil {
			return fmt.Errorf("file for the virtual machine: %w", err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return fmt.Errorf("file for the virtual machine: %w", err)
		}
		e.size, e.body = st.Size(), f
	}
	return archive.add(e)
}

// writeInitramfs puts together what the guest starts from: Root below all, then programs, then files, and init with
// its job and modules in a directory of their own.
func (cfg Config) writeInitramfs(ctx context.Context, w io.Writer, k Kernel, files []File, job wire.Job) error {
	t := tree{"/dev": {mode: fs.ModeDir | 0o755}}
	if cfg.Root != "" {
		if err := t.addFile(File{Host: cfg.Root, Guest: "/"}); err != nil {
			return err
		}
	}
	programs, err := programFiles(ctx, cfg.Programs)
	if err != nil {
		return err
	}
	for _, f := range append(programs, files...) {
		if err := t.addFile(f); err != nil {
			return err
		}
	}
	guestInit, err := buildInit(ctx, cfg.ModuleRoot)
	if err != nil {
		return err
	}
	t.put(wire.Dir+"/init", leaf{mode: 0o755, data: guestInit})
	// The kernel opens it for init before init has mounted anything.
	t.put("/dev/console", leaf{mode: fs.ModeDevice | fs.ModeCharDevice | 0o600, rdev: [2]uint32{5, 1}})
	if err := cfg.addModules(t, k, &job); err != nil {
		return err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	t.put(wire.Dir+"/job.json", leaf{mode: 0o600, data: text})
	return t.write(w)
}

func (cfg Config) addModules(t tree, k Kernel, job *wire.Job) error {
	modules, err := openModules(k.Modules)
	if err != nil {
		return err
	}
	order, _, err := modules.closure(slices.Concat(bootModules, loadable))
	if err != nil {
		return err
	}
	wanted, missing, err := modules.closure(cfg.Modules)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("kernel %s has no module %s; another kernel can be named with --kernel", k.Release, strings.Join(missing, ", "))
	}
	have := map[string]bool{}
	order = slices.DeleteFunc(append(order, wanted...), func(m *module) bool {
		twice := have[m.name]
		have[m.name] = true
		return twice
	})
	for _, m := range order {
		t.put(wire.Dir+"/modules/"+m.name+".ko", leaf{mode: 0o644, data: m.data})
	}
	t.put(wire.Dir+"/modules/index", leaf{mode: 0o644, data: index(order)})
	job.Modules = nil
	for _, name := range slices.Concat(bootModules, cfg.Modules) {
		if name = moduleName(name); have[name] {
			job.Modules = append(job.Modules, name)
		}
	}
	return nil
}
