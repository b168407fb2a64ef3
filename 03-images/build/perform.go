package build

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"path"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	images "coracle/03-images"
)

// open finds what a COPY copies, and its checksums, one for each source. For other
// steps both are nil.
func (b *Builder) open(ctx context.Context, s *Step) (*files, []digest.Digest, error) {
	if s.Kind != Copy {
		return nil, nil, nil
	}
	tree, own, err := b.tree(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	f, err := locate(tree, s)
	f.close = own
	var sums []digest.Digest
	for _, src := range f.sources {
		var sum digest.Digest
		seen := seen{seed: maphash.MakeSeed()}
		if err == nil {
			sum, err = Checksum(seen.entries(tree.Entries(src, f.exclude)), seen.open(tree))
		}
		sums, f.seen = append(sums, sum), append(f.seen, seen)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, sums, nil
}

// tree is what a COPY takes from: the context, or the files of a stage or image,
// which are then mounted, where nobody sees it, for as long as they are open.
func (b *Builder) tree(ctx context.Context, s *Step) (t *Tree, own bool, err error) {
	from := &State{}
	switch {
	case s.FromStage >= 0:
		if from, err = b.stage(s.FromStage); err != nil {
			return nil, false, fmt.Errorf("--from: %w", err)
		}
	case s.FromImage != "":
		if from, err = b.image(ctx, s.FromImage, b.platform()); err != nil {
			return nil, false, fmt.Errorf("--from=%s: %w", s.FromImage, err)
		}
	case b.Context == nil && len(s.Sources) > 0:
		return nil, false, errors.New("there is no context to copy from")
	default:
		return b.Context, false, nil
	}
	if len(from.Layers) == 0 {
		return nil, false, errors.New("--from: there are no files in it")
	}
	if err := b.unpack(ctx, from); err != nil {
		return nil, false, err
	}
	err = withMounts(b.Store.Path("cache"), func(dir string) error {
		root, err := mountIn(dir, "from", func(target string) error { return b.Store.MountReadonly(from.Chain(), target) })
		t = &Tree{root: root, guest: true, owners: b.Store.Owners()}
		return err
	})
	return t, true, err
}

// unpack makes sure that the layers of a state are unpacked.
func (b *Builder) unpack(ctx context.Context, s *State) error {
	img := &images.Image{}
	for _, l := range s.Layers {
		img.Layers = append(img.Layers, l.Descriptor)
		img.Config.RootFS.DiffIDs = append(img.Config.RootFS.DiffIDs, l.DiffID)
	}
	_, err := b.Store.Unpack(ctx, img, nil)
	return err
}

// prepare makes a snapshot on top of a state's layers. Its name tells Collect that it
// may go if we cannot remove it.
func (b *Builder) prepare(ctx context.Context, at *State) (*images.Snapshot, error) {
	if err := b.unpack(ctx, at); err != nil {
		return nil, err
	}
	id := fmt.Sprintf("%sbuild-%d-%x", images.TemporaryID, unix.Getpid(), rand.Uint32())
	return b.Store.Prepare(ctx, id, at.Chain())
}

// commit makes a layer of what a step changed.
func (b *Builder) commit(ctx context.Context, at *State, sn *images.Snapshot) (made images.Cached, err error) {
	made.Layer, made.DiffID, err = b.Store.CommitLayer(ctx, sn.Upper(), images.DiffOptions{Epoch: b.epoch(), Owners: b.Store.Owners()})
	made.Chain = at.Chain(made.DiffID)
	return made, err
}

// perform carries out a step on a snapshot, which is mounted meanwhile, and counts it
// in b.Ran. changed says whether there is anything in its upper folder then.
func (b *Builder) perform(ctx context.Context, s *Step, f *files, sn *images.Snapshot) (changed bool, err error) {
	b.Ran++
	before, err := look(sn.Upper())
	if err != nil {
		return false, err
	}
	site := &site{}
	err = withMounts(b.Store.Path("cache"), func(dir string) error {
		var err error
		if site.root, err = mountIn(dir, "site", sn.Mount); err != nil {
			return err
		}
		site.dir = path.Join(dir, "site")
		switch s.Kind {
		case Run:
			err = b.run(ctx, s, site)
		case Copy:
			err = b.copy(ctx, s, f, site)
		case Workdir:
			err = site.makeDir(b, s.Dir, s.User)
		}
		return errors.Join(err, site.root.Close(), unix.Unmount(site.dir, unix.MNT_DETACH))
	})
	if err != nil {
		return false, err
	}
	site.prune(sn.Upper())
	after, err := look(sn.Upper())
	return before != after, err
}
