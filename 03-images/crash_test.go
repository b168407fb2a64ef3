package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// churn works on a store as long as it lives: it pulls, unpacks, removes, collects.
// It says what must be there from now on, and what need not be.
func init() {
	helpers["churn"] = func(arg ...string) error {
		seed, err := strconv.ParseUint(arg[1], 10, 64)
		if err != nil {
			return err
		}
		c := churner{ctx: context.Background(), r: rand.New(rand.NewPCG(seed, 0)), layers: arg[2]}
		if c.s, err = Open(arg[0], Single); err != nil {
			return err
		}
		for n := 0; ; n++ {
			if err := c.step(fmt.Sprintf("%s/%d", arg[1], n%5), n); err != nil {
				return err
			}
		}
	}
}

type churner struct {
	ctx    context.Context
	s      *Store
	r      *rand.Rand
	layers string
}

func (c *churner) step(name string, n int) error {
	if c.r.IntN(4) == 0 {
		// The other one may add without a pause.
		ctx, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
		defer cancel()
		_, err := c.s.Collect(ctx, CollectOptions{})
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	unlock, err := c.s.Share(c.ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if c.r.IntN(4) == 0 {
		fmt.Println("drops", name)
		if err := c.s.Untag(c.ctx, name); !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	}
	target, err := c.pull()
	if err != nil {
		return err
	}
	fmt.Println("drops", name) // it may stand for another one
	if err := c.s.Tag(c.ctx, name, target); err != nil {
		return err
	}
	fmt.Println("has", name, target.Digest)
	img, err := c.s.Image(name, HostPlatform())
	if err != nil {
		return err
	}
	chain, err := c.s.Unpack(c.ctx, img, nil)
	if err != nil {
		return err
	}
	sn, err := c.s.Prepare(c.ctx, fmt.Sprintf("%s%d-%d", TemporaryID, os.Getpid(), n), chain)
	if err != nil {
		return err
	}
	return sn.Remove()
}

// pull brings the blobs of an image, as if from a slow registry.
func (c *churner) pull() (Descriptor, error) {
	config := v1.Image{Platform: HostPlatform()}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for range 1 + c.r.IntN(4) {
		data, err := os.ReadFile(filepath.Join(c.layers, strconv.Itoa(c.r.IntN(5))))
		if err != nil {
			return Descriptor{}, err
		}
		d := Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
		if err := c.fetch(d, data); err != nil {
			return Descriptor{}, err
		}
		m.Layers, config.RootFS.DiffIDs = append(m.Layers, d), append(config.RootFS.DiffIDs, d.Digest)
	}
	text, err := json.Marshal(config)
	if err == nil {
		m.Config, err = c.s.Blobs().Put(v1.MediaTypeImageConfig, text)
	}
	if err == nil {
		text, err = json.Marshal(m)
	}
	if err != nil {
		return Descriptor{}, err
	}
	return c.s.Blobs().Put(v1.MediaTypeImageManifest, text)
}

func (c *churner) fetch(d Descriptor, data []byte) error {
	w, err := c.s.Blobs().Create(c.ctx, d)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for r := bytes.NewReader(data[w.Offset():]); r.Len() > 0; {
		part := make([]byte, min(r.Len(), 4096))
		r.Read(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	_, err = w.Commit()
	return err
}

// Two processes work on one store; both are killed at a random moment. Nothing that
// had a name is lost, and what is left half done is collected.
func TestStore_KilledAtRandomMoments(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("CORACLE_SEED"), 10, 64); err == nil {
		seed = v
	}
	rounds := 25
	if v, err := strconv.Atoi(os.Getenv("CORACLE_ROUNDS")); err == nil {
		rounds = v
	}
	t.Logf("CORACLE_SEED=%d CORACLE_ROUNDS=%d", seed, rounds)
	r := rand.New(rand.NewPCG(seed, 1))
	layers := t.TempDir()
	for i := range 5 {
		var files []layerFile
		for n := range 20 {
			files = append(files, layerFile{name: fmt.Sprintf("dir%d/sub/file%d", i, n), text: strings.Repeat(fmt.Sprint(i), 3000)})
		}
		putFile(t, filepath.Join(layers, strconv.Itoa(i)), string(layerTar(t, files...)))
	}
	s := newStore(t)
	steps, done := 0, 0
	for end := time.Now().Add(time.Duration(rounds) * 400 * time.Millisecond); done < rounds && time.Now().Before(end); done++ {
		said := [2]firstWord{{began: make(chan struct{})}, {began: make(chan struct{})}}
		ctx, kill := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for i := range said {
			out := &said[i]
			cmd := another(ctx, "churn", s.Path(), fmt.Sprint(r.Uint64()), layers)
			cmd.Stdout, cmd.Stderr = out, out
			check.NoError(t, "start a process", cmd.Start())
			go func() { ended <- cmd.Wait() }()
		}
		for i := range said {
			check.Within(t, "a process that works on the store", "its first word", func() (int, error) { <-said[i].began; return 0, nil })
		}
		moment := time.NewTimer(time.Duration(r.IntN(60_000)) * time.Microsecond)
		<-moment.C
		kill()
		<-ended
		<-ended
		has := map[string]string{}
		for i := range said {
			for line := range strings.Lines(said[i].all.String()) {
				word := strings.Fields(line)
				switch {
				case !strings.HasSuffix(line, "\n"): // it was killed as it said so
				case word[0] == "has":
					steps++
					has[word[1]] = word[2]
				case word[0] == "drops":
					delete(has, word[1])
				default:
					t.Fatalf("a process that was not killed ended: %s", line)
				}
			}
		}
		check.NoError(t, "Check after both were killed", s.Check())
		for name, is := range has {
			d, err := s.Tagged(name)
			check.NoError(t, "an image that was complete", err)
			check.Equal(t, "what its name stands for", is, string(d.Digest))
		}
		collect(t, s, CollectOptions{})
		check.NoError(t, "Check after Collect", s.Check())
		check.Equal(t, "what Collect leaves that nothing refers to", "", unreferred(t, s))
		tags, err := s.Tags()
		check.NoError(t, "Tags", err)
		for _, tag := range tags {
			img, err := s.Image(tag.Annotations[nameKey], HostPlatform())
			check.NoError(t, "an image afterwards", err)
			_, err = s.Unpack(t.Context(), img, nil)
			check.NoError(t, "to unpack it", err)
			if r.IntN(2) == 0 {
				check.NoError(t, "Untag", s.Untag(t.Context(), tag.Annotations[nameKey]))
			}
		}
	}
	t.Logf("%d rounds, %d images were complete before a kill", done, steps)
	check.True(t, "images that were complete before a kill", steps > done/4, fmt.Sprint(steps), "one in some rounds, or this shows nothing")
}

// firstWord tells when something was written.
type firstWord struct {
	all   bytes.Buffer
	began chan struct{}
	once  sync.Once
}

func (f *firstWord) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.began) })
	return f.all.Write(p)
}

// unreferred lists what no image in the store refers to.
func unreferred(t testing.TB, s *Store) string {
	t.Helper()
	used := map[string]bool{}
	tags, err := s.Tags()
	check.NoError(t, "Tags", err)
	for _, tag := range tags {
		img, err := s.Image(tag.Annotations[nameKey], HostPlatform())
		check.NoError(t, "Image", err)
		for _, d := range append(img.Layers, img.Manifest, img.Spec.Config) {
			used["blobs/sha256/"+d.Digest.Encoded()] = true
		}
		for _, c := range ChainIDs(img.Config.RootFS.DiffIDs) {
			used["layers/"+c.Encoded()] = true
		}
	}
	var more []string
	for file := range strings.FieldsSeq(contents(t, s)) {
		if !used[file] {
			more = append(more, file)
		}
	}
	return strings.Join(more, "\n")
}
