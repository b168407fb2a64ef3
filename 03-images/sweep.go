package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// CollectOptions say what Collect leaves. The zero value leaves what has a name and
// what a snapshot needs.
type CollectOptions struct {
	DryRun  bool
	Steps   time.Duration // steps of builds that were used within this time
	Partial time.Duration // downloads that broke off within this time, to go on with
}

// Collected is what Collect removed, or would.
type Collected struct {
	Blobs, Layers, Steps, Partial int
	Bytes                         int64
}

// live is what is in use.
type live struct {
	blobs  map[digest.Digest]bool
	layers map[digest.Digest]bool // by chain ID
	steps  map[string]bool        // files of cache/
}

// addLayers adds a layer and those below it, down to one that is there already:
// whatever is in layers has those below it there too.
func (l live) addLayers(s *Store, chain digest.Digest) {
	for checkDigest(chain) == nil && !l.layers[chain] {
		l.layers[chain] = true
		chain, _ = readParent(s.layer(chain))
	}
}

// children returns what a blob refers to, and adds the layers of a config to l,
// with what really is below them: a stranger's config may name another image's.
//
// What a blob is, its bytes say and not who refers to it: an image could call
// another one's manifest its layer, and would have it marked without what hangs on
// it. A manifest that is not here, as those of an index for other platforms,
// refers to nothing; one that is damaged is an error.
func (s *Store) children(l live) func(Descriptor) ([]Descriptor, error) {
	return func(d Descriptor) ([]Descriptor, error) {
		data, err := s.readJSON(d.Digest)
		if err != nil || data == nil {
			return nil, err
		}
		var any struct {
			Config    Descriptor   `json:"config"`
			Layers    []Descriptor `json:"layers"`
			Manifests []Descriptor `json:"manifests"`
		}
		json.Unmarshal(data, &any) // a part of it of another kind leaves the rest
		var config struct {
			RootFS struct {
				DiffIDs []digest.Digest `json:"diff_ids"`
			} `json:"rootfs"`
		}
		json.Unmarshal(data, &config)
		for _, chain := range ChainIDs(config.RootFS.DiffIDs) {
			l.addLayers(s, chain)
		}
		return append(append(any.Layers, any.Manifests...), any.Config), nil
	}
}

// readJSON reads a blob that may be a manifest, an index or a config: nil for others.
func (s *Store) readJSON(d digest.Digest) ([]byte, error) {
	f, err := os.Open(s.Blobs().Path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.Size() > MaxManifest {
		return nil, err
	}
	begin := make([]byte, 64)
	n, _ := f.Read(begin)
	if !bytes.HasPrefix(bytes.TrimLeft(begin[:n], " \t\r\n"), []byte("{")) {
		return nil, nil
	}
	return s.Blobs().ReadAll(Descriptor{Digest: d, Size: fi.Size()}, MaxManifest)
}

// A sweeper removes what is not live.
type sweeper struct {
	store *Store
	o     CollectOptions
	done  Collected
}

var (
	hexName  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	tempName = regexp.MustCompile(`^\.[^/]+-[0-9]+$`) // of WriteFile
)

// each removes those entries of a folder of which want says so.
func (w *sweeper) each(ctx context.Context, dir string, count *int, garbage func(name string, fi fs.FileInfo) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if dir == w.store.Path("layers") {
		w.store.topmostFirst(entries)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		if !garbage(e.Name(), fi) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		size := used(path)
		if !w.o.DryRun {
			remove := os.Remove // at once, or not
			if e.IsDir() {
				remove = removeTree
			}
			if err := remove(path); err != nil {
				return err
			}
		}
		w.done.Bytes += size
		*count++
	}
	return nil
}

func (w *sweeper) steps(ctx context.Context, l live) error {
	return w.each(ctx, w.store.Path("cache"), &w.done.Steps, func(name string, _ fs.FileInfo) bool {
		return !l.steps[name] && (hexName.MatchString(name) || tempName.MatchString(name))
	})
}

// partial removes what crashes left: nobody works on it, since Collect is alone.
func (w *sweeper) partial(ctx context.Context, l live) error {
	old := func(fi fs.FileInfo) bool { return time.Since(fi.ModTime()) >= w.o.Partial }
	err := w.each(ctx, w.store.Path("ingest"), &w.done.Partial, func(name string, fi fs.FileInfo) bool {
		return !hexName.MatchString(name) || old(fi) || w.store.Blobs().Has(digest.Digest("sha256:"+name))
	})
	if err != nil {
		return err
	}
	err = w.each(ctx, w.store.Path("active"), &w.done.Partial, func(name string, _ fs.FileInfo) bool {
		if name == "lock" {
			return false
		}
		sn, err := w.store.Snapshot(name)
		return leftover(name) || errors.Is(err, ErrNotFound) || err == nil && sn.Temporary()
	})
	if err != nil {
		return err
	}
	return w.each(ctx, w.store.dir, &w.done.Partial, func(name string, _ fs.FileInfo) bool { return tempName.MatchString(name) })
}

// leftover says whether a name is that of a layer or a snapshot on its way or going.
func leftover(name string) bool {
	switch filepath.Ext(name) {
	case ".new", ".gone", ".lock":
		return true
	}
	return false
}

func (w *sweeper) layers(ctx context.Context, l live) error {
	dir := w.store.Path("layers")
	if err := w.each(ctx, dir, &w.done.Partial, func(name string, _ fs.FileInfo) bool { return leftover(name) }); err != nil {
		return err
	}
	return w.each(ctx, dir, &w.done.Layers, func(name string, _ fs.FileInfo) bool {
		return hexName.MatchString(name) && !(l.layers[digest.Digest("sha256:"+name)] && trusted(filepath.Join(dir, name)))
	})
}

// topmostFirst sorts layers so that one goes before those below it: however this
// ends, a layer that is there has them.
func (s *Store) topmostFirst(entries []fs.DirEntry) {
	height := map[string]int{}
	for _, e := range entries {
		seen := live{layers: map[digest.Digest]bool{}}
		seen.addLayers(s, digest.Digest("sha256:"+e.Name()))
		height[e.Name()] = len(seen.layers)
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return height[b.Name()] - height[a.Name()] })
}

func (w *sweeper) blobs(ctx context.Context, l live) error {
	return w.each(ctx, w.store.Path("blobs", "sha256"), &w.done.Blobs, func(name string, _ fs.FileInfo) bool {
		return hexName.MatchString(name) && !l.blobs[digest.Digest("sha256:"+name)]
	})
}

// used returns how many bytes of the disk a tree takes.
func used(path string) (sum int64) {
	filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil {
			sum += st.Blocks * 512 // stat(2)
		}
		return nil
	})
	return sum
}
