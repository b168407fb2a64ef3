package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	images "coracle/03-images"
)

// A Builder builds one Dockerfile.
type Builder struct {
	Store    *images.Store
	File     *Dockerfile
	Context  *Tree             // nil: COPY from it is an error
	Args     map[string]string // --build-arg
	Target   string            // the stage to build, by name or number; "": the last
	Platform v1.Platform       // zero: this machine's
	Epoch    time.Time         // no time in the image is later; zero: 1970
	Labels   map[string]string // --label
	Offline  bool              // RUN has no network
	NoCache  bool              // each step is done, and remembered
	Out      io.Writer         // what steps there are and what programs say; nil: nowhere
	// Image finds a base image, and pulls it if it must. nil: what the store has.
	Image func(ctx context.Context, name string, p v1.Platform) (*images.Image, error)

	Ran int // steps that were done and not found in the cache

	built  map[int]*State // stages by number
	others map[string]*State
}

func (b *Builder) out() io.Writer {
	if b.Out == nil {
		return io.Discard
	}
	return b.Out
}

func (b *Builder) sayf(format string, a ...any) { fmt.Fprintf(b.out(), format, a...) }

// say tells of a step.
func (b *Builder) say(s *Step, cached bool) {
	line, _, more := strings.Cut(s.Text, "\n")
	if more {
		line += " …"
	}
	if cached {
		line += "  (cached)"
	}
	b.sayf("%s:%d: %s\n", b.File.name, s.Line, line)
}

func (b *Builder) platform() v1.Platform {
	if b.Platform.OS == "" {
		return images.HostPlatform()
	}
	return b.Platform
}

func (b *Builder) epoch() time.Time {
	if b.Epoch.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return b.Epoch.UTC().Truncate(time.Second)
}

// stages resolves the Dockerfile's stages.
func (b *Builder) stages() ([]*Stage, error) {
	return b.File.Stages(b.Args, images.FormatPlatform(b.platform()), b.Target)
}

// base returns the state that a stage begins with: an earlier stage's, an image's,
// or nothing.
func (b *Builder) base(ctx context.Context, st *Stage) (State, error) {
	if st.Parent >= 0 {
		s := *b.built[st.Parent]
		s.Layers = s.Layers[:len(s.Layers):len(s.Layers)]
		return s, nil
	}
	if st.Base == Scratch {
		s := State{Key: BaseKey("", b.platform(), b.epoch().Unix())}
		s.Config.Platform, s.Config.RootFS.Type, s.Config.Config.WorkingDir = b.platform(), "layers", "/"
		return s, nil
	}
	p := b.platform()
	if st.Platform != "" {
		var err error
		if p, err = images.ParsePlatform(st.Platform); err != nil {
			return State{}, fmt.Errorf("FROM --platform: %w", err)
		}
	}
	s, err := b.image(ctx, st.Base, p)
	if err != nil {
		return State{}, fmt.Errorf("FROM %s: %w", st.Base, err)
	}
	return *s, nil
}

// image returns the state that an image is.
func (b *Builder) image(ctx context.Context, name string, p v1.Platform) (*State, error) {
	id := name + " " + images.FormatPlatform(p)
	if s, ok := b.others[id]; ok {
		return s, nil
	}
	find := b.Image
	if find == nil {
		find = b.inStore
	}
	img, err := find(ctx, name, p)
	if err != nil {
		return nil, err
	}
	s := new(State)
	if err := json.Unmarshal(img.ConfigJSON, &s.Config); err != nil {
		return nil, fmt.Errorf("its config: %w", err)
	}
	for i, l := range img.Layers {
		s.Layers = append(s.Layers, Layer{l, img.Config.RootFS.DiffIDs[i]})
	}
	s.Key = BaseKey(s.Chain(), p, b.epoch().Unix())
	if b.others == nil {
		b.others = map[string]*State{}
	}
	b.others[id] = s
	return s, nil
}

// inStore finds an image by its name as people write it, or by a digest.
func (b *Builder) inStore(_ context.Context, name string, p v1.Platform) (*images.Image, error) {
	full, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, err
	}
	img, err := b.Store.Image(full.String(), p)
	if errors.Is(err, images.ErrNotFound) {
		if byID, e := b.Store.Image(name, p); e == nil {
			return byID, nil
		}
	}
	return img, err
}

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
		if err == nil {
			sum, err = Checksum(tree.Entries(src, f.exclude), tree.Open)
		}
		sums = append(sums, sum)
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
		from = b.built[s.FromStage]
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

// temporary is the name of a snapshot that Collect removes if we cannot.
func (b *Builder) temporary() string {
	return fmt.Sprintf("%sbuild-%d-%x", images.TemporaryID, unix.Getpid(), rand.Uint32())
}

// perform carries out a step on a snapshot, which is mounted meanwhile. changed
// says whether there is anything in its upper folder then.
func (b *Builder) perform(ctx context.Context, s *Step, f *files, sn *images.Snapshot) (changed bool, err error) {
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

// write writes config and manifest and gives them a name, if there is one.
func (b *Builder) write(ctx context.Context, s *State, tag string) (images.Descriptor, error) {
	c := s.Config
	for k, v := range b.Labels {
		put(&c.Config.Labels, k, v)
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []images.Descriptor{}}
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []digest.Digest{}
	for _, l := range s.Layers {
		m.Layers = append(m.Layers, l.Descriptor)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
	}
	text, err := encode(c)
	if err == nil {
		m.Config, err = b.Store.Blobs().Put(v1.MediaTypeImageConfig, text)
	}
	if err == nil {
		text, err = encode(m)
	}
	var d images.Descriptor
	if err == nil {
		d, err = b.Store.Blobs().Put(m.MediaType, text)
	}
	if err == nil {
		err = b.Store.Sync()
	}
	if err == nil && tag != "" {
		err = b.Store.Tag(ctx, tag, d)
	}
	return d, err
}

// encode writes JSON as people read it: < and & as themselves.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(text.Bytes()), err
}
