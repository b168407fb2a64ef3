package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

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
	stages, err := b.File.Stages(b.Args, images.FormatPlatform(b.platform()), b.Target)
	for _, st := range stages {
		st.offline = b.Offline
	}
	return stages, err
}

// targetStage returns the number of the stage that is to be built, which is given by
// name, by number, or, as the last, not at all.
func targetStage(stages []*Stage, target string) (int, error) {
	if target == "" {
		return len(stages) - 1, nil
	}
	if n, err := strconv.Atoi(target); err == nil && n >= 0 && n < len(stages) {
		return n, nil
	}
	if n, ok := stageNamed(stages, target); ok {
		return n, nil
	}
	return 0, fmt.Errorf("no stage is called %s", target)
}

// stage returns how far an earlier stage came.
func (b *Builder) stage(n int) (*State, error) {
	if s := b.built[n]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("stage %d is needed here and is not built", n)
}

// base returns the state that a stage begins with: an earlier stage's, an image's,
// or nothing.
func (b *Builder) base(ctx context.Context, st *Stage) (State, error) {
	if st.Parent >= 0 {
		parent, err := b.stage(st.Parent)
		if err != nil {
			return State{}, err
		}
		s := *parent
		s.Layers = slices.Clip(s.Layers)
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
	s.Layers = slices.Clip(s.Layers) // two stages append to it
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
