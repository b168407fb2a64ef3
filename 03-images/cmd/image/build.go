package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	images "coracle/03-images"
	"coracle/03-images/build"
	"coracle/03-images/remote"
	"coracle/internal/base"
)

// baseContext stands for the workshop's base root file system.
const baseContext = "@base"

func (p *program) build() *cobra.Command {
	var a access
	var b build.Builder
	var tags, args, labels []string
	var file, network string
	cmd := a.flags(p.platformFlag(&cobra.Command{
		Use: "build [-t NAME] CONTEXT", Short: "Make an image from a Dockerfile", Args: exactly(1),
		Long: `Makes an image from CONTEXT/Dockerfile. The same context gives the same digests: no
time in an image is later than $SOURCE_DATE_EPOCH, or 1970 where that is not set.
Base images that are not in the store are pulled. The context @base is the
workshop's base root file system.`,
		Example: `  image build -t localhost/base -f examples/base/Dockerfile @base
  image build -t localhost/demo --build-arg GREETING=hello ./demo`,
		RunE: p.run(layers, func(ctx context.Context, s *images.Store, at []string) error {
			var err error
			b.Store, b.Out = s, os.Stderr
			if b.Platform, err = p.wanted(); err != nil {
				return err
			}
			if b.Offline = network == "none"; !b.Offline && network != "host" {
				return fmt.Errorf("--network %q: want none or host", network)
			}
			if b.Args, err = pairs("--build-arg", args); err != nil {
				return err
			}
			if b.Labels, err = pairs("--label", labels); err != nil {
				return err
			}
			if b.Epoch, err = epoch(); err != nil {
				return err
			}
			var names []string
			for _, tag := range tags {
				ref, err := remote.Parse(tag)
				if err != nil {
					return err
				}
				names = append(names, ref.String())
			}
			if err := openContext(&b, at[0], file); err != nil {
				return err
			}
			defer b.Context.Close()
			b.Image = p.orPulled(s, &a)
			return p.built(ctx, s, &b, names)
		}),
	}))
	f := cmd.Flags()
	f.StringArrayVarP(&tags, "tag", "t", nil, "name of the image; may be repeated")
	f.StringVarP(&file, "file", "f", "", "the Dockerfile, or - for stdin (default: CONTEXT/Dockerfile)")
	f.StringArrayVar(&args, "build-arg", nil, "NAME=VALUE, or NAME for a variable of yours; may be repeated")
	f.StringArrayVar(&labels, "label", nil, "NAME=VALUE; may be repeated")
	f.StringVar(&b.Target, "target", "", "the stage to build (default: the last)")
	f.StringVar(&network, "network", "host", "none or host: what RUN can reach")
	f.BoolVar(&b.NoCache, "no-cache", false, "do each step anew")
	return cmd
}

// built builds and gives the image all of its names.
func (p *program) built(ctx context.Context, s *images.Store, b *build.Builder, names []string) error {
	unlock, err := s.Share(ctx) // until the last name is given
	if err != nil {
		return err
	}
	defer unlock()
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	d, err := b.Build(ctx, first)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.Tag(ctx, name, d); err != nil {
			return err
		}
		fmt.Println(familiar(name), d.Digest)
	}
	if len(names) == 0 {
		fmt.Println(d.Digest)
	}
	return nil
}

// openContext opens the folder to copy from, and the Dockerfile.
func openContext(b *build.Builder, dir, file string) (err error) {
	if dir == baseContext {
		if dir, err = base.Current(); err != nil {
			return err
		}
	}
	if file == "" {
		file = filepath.Join(dir, "Dockerfile")
	}
	var text []byte
	if name := file; name == "-" {
		file = "" // there is no .dockerignore beside it
		text, err = io.ReadAll(io.LimitReader(os.Stdin, images.MaxManifest))
		if err == nil {
			b.File, err = build.Parse("Dockerfile", text)
		}
	} else if text, err = os.ReadFile(file); err == nil {
		b.File, err = build.Parse(file, text)
	}
	if err != nil {
		return err
	}
	b.Context, err = build.OpenContext(dir, file)
	return err
}

// orPulled finds a base image in the store, or pulls it.
func (p *program) orPulled(s *images.Store, a *access) func(context.Context, string, v1.Platform) (*images.Image, error) {
	return func(ctx context.Context, name string, platform v1.Platform) (*images.Image, error) {
		ref, bad := remote.Parse(name)
		if bad == nil {
			img, err := s.Image(ref.String(), platform)
			if !errors.Is(err, images.ErrNotFound) {
				return img, err
			}
		}
		if img, err := s.Image(name, platform); err == nil { // by an ID
			return img, nil
		}
		if bad != nil {
			return nil, bad
		}
		client, err := a.client()
		if err != nil {
			return nil, err
		}
		defer client.Close()
		progress, end := show()
		_, err = client.Pull(ctx, s, ref, remote.PullOptions{Platform: &platform, Progress: progress})
		end()
		if err != nil {
			return nil, fmt.Errorf("it is not in the store, and: %w", err)
		}
		return s.Image(ref.String(), platform)
	}
}

// pairs reads NAME=VALUE, or NAME for a variable of the caller's.
func pairs(flag string, list []string) (map[string]string, error) {
	all := map[string]string{}
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if name == "" {
			return nil, fmt.Errorf("%s %q: want NAME=VALUE", flag, pair)
		}
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				continue
			}
		}
		all[name] = value
	}
	return all, nil
}

// epoch is $SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch).
func epoch() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: want seconds since 1970", text)
	}
	return time.Unix(n, 0), nil
}
