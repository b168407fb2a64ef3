package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	images "coracle/03-images"
	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// hasBase is the base image's root.
var hasBase = sandbox.Feature{Name: "the base image", Fix: "./lab run 1 isolate -- sh", Has: func() error {
	_, err := base.Current()
	return err
}}

func owners() images.Owners {
	if sandbox.CurrentMode() == sandbox.Single {
		return images.Single
	}
	return images.Kernel
}

// waitsForItself is why a build most often does not end.
const waitsForItself = "Alone waits for the Share that the build holds itself"

// baseStore has the image "base", made once.
var baseStore = sync.OnceValues(func() (string, error) {
	root, err := base.Current()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "base-store-")
	if err != nil {
		return "", err
	}
	store, err := images.Open(dir, owners())
	if err != nil {
		return "", err
	}
	file, err := Parse("Dockerfile", []byte("FROM scratch\nCOPY . /\nCMD [\"/bin/sh\"]\n"))
	if err != nil {
		return "", err
	}
	tree, err := OpenContext(root, "")
	if err != nil {
		return "", err
	}
	defer tree.Close()
	ctx, cancel := context.WithTimeout(context.Background(), check.Deadline-time.Second)
	defer cancel()
	_, err = (&Builder{Store: store, File: file, Context: tree}).Build(ctx, "docker.io/library/base:latest")
	return dir, err
})

// emptyStore is a store of its own.
func emptyStore(t testing.TB) *images.Store {
	t.Helper()
	store, err := images.Open(t.TempDir(), owners())
	check.NoError(t, "open a store", err)
	return store
}

// storeWithBase is a store of its own, with the image "base", for tests that RUN.
func storeWithBase(t testing.TB) *images.Store {
	t.Helper()
	sandbox.Need(t, hasBase)
	from, err := check.Within(t, "Build of the base image", "its end", baseStore, check.Often(true, waitsForItself))
	check.NoError(t, "Build of the base image", err, check.Often(errors.Is(err, context.DeadlineExceeded), waitsForItself))
	store := emptyStore(t)
	for _, part := range []string{"blobs", "index.json"} {
		err := filepath.WalkDir(filepath.Join(from, part), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, _ := filepath.Rel(from, path)
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(store.Path(rel), data, 0o644)
			}
			return err
		})
		check.NoError(t, "copy the base image", err)
	}
	return store
}

// folder makes a context: "name" → content, "name/" → a folder, "name -> to" a link.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		var err error
		link, to, isLink := strings.Cut(name, " -> ")
		switch {
		case isLink:
			path = filepath.Join(dir, link)
			err = os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				err = os.Symlink(to, path)
			}
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, []byte(content), 0o644)
			}
		}
		check.NoError(t, "make the context", err)
	}
	return dir
}

// builder is one for a Dockerfile and a context.
func builder(t testing.TB, store *images.Store, dockerfile, context string) *Builder {
	t.Helper()
	file, err := Parse("Dockerfile", []byte(dockerfile))
	check.NoError(t, "Parse:\n"+dockerfile, err)
	b := &Builder{Store: store, File: file, Offline: true, Out: new(bytes.Buffer)}
	if context != "" {
		b.Context, err = OpenContext(context, "")
		check.NoError(t, "OpenContext", err)
		t.Cleanup(func() { b.Context.Close() })
	}
	return b
}

// build builds it and returns what came out.
func build(t testing.TB, store *images.Store, dockerfile, context string, set ...func(*Builder)) (*Builder, *images.Image) {
	t.Helper()
	b := builder(t, store, dockerfile, context)
	for _, f := range set {
		f(b)
	}
	d, err := within(t, b, "docker.io/library/made:latest")
	if err != nil {
		err = fmt.Errorf("%w; it said %q", err, said(b))
	}
	check.NoError(t, fmt.Sprintf("Build of %q", dockerfile), err)
	img, err := store.Image(string(d.Digest), images.HostPlatform())
	check.NoError(t, "read the image", err)
	return b, img
}

func said(b *Builder) string { return b.Out.(*bytes.Buffer).String() }

// fails builds what must fail and returns the error.
func fails(t testing.TB, store *images.Store, dockerfile, context string) error {
	t.Helper()
	_, err := within(t, builder(t, store, dockerfile, context), "")
	return err
}

// within builds before the test's deadline.
func within(t testing.TB, b *Builder, tag string) (images.Descriptor, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	return check.Within(t, "Build", "its end", func() (images.Descriptor, error) { return b.Build(ctx, tag) }, check.Often(true, waitsForItself))
}

// files lists an image's files: "mode uid:gid path content", by path.
func listFiles(t testing.TB, store *images.Store, img *images.Image) map[string]string {
	t.Helper()
	list := map[string]string{}
	s := &State{}
	for i, l := range img.Layers {
		s.Layers = append(s.Layers, Layer{l, img.Config.RootFS.DiffIDs[i]})
	}
	if len(s.Layers) == 0 {
		return list
	}
	b := &Builder{Store: store, built: map[int]*State{0: s}}
	tree, _, err := b.tree(t.Context(), &Step{Kind: Copy, FromStage: 0})
	check.NoError(t, "mount the image", err)
	defer tree.Close()
	for e, err := range tree.Entries(Source{Dir: true, at: "."}, nil) {
		check.NoError(t, "walk the image", err)
		if e.Path == "." {
			e, err = tree.entry(".", ".")
			check.NoError(t, "look at the image's /", err)
		}
		text := e.Mode.String()
		if e.UID != 0 || e.GID != 0 {
			text += " " + itoa(e.UID) + ":" + itoa(e.GID)
		}
		if e.Link != "" {
			text += " -> " + e.Link
		}
		if e.Mode.IsRegular() {
			data, err := tree.root.ReadFile(e.name)
			check.NoError(t, "read "+e.name, err)
			text += " " + string(data[:min(len(data), 200)])
		}
		list["/"+e.Path] = text
	}
	return list
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func itoa(n int) string { return strconv.Itoa(n) }
