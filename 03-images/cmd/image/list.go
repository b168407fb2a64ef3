package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	images "coracle/03-images"
	"coracle/03-images/remote"
)

func (p *program) ls() *cobra.Command {
	return p.platformFlag(&cobra.Command{
		Use: "ls", Short: "List the images that have a name", Args: exactly(0),
		RunE: p.run(blobs, func(_ context.Context, s *images.Store, _ []string) error {
			platform, err := p.wanted()
			if err != nil {
				return err
			}
			tags, err := s.Tags()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tID\tPLATFORM\tSIZE\tCREATED")
			for _, t := range tags {
				name := t.Annotations[v1.AnnotationRefName]
				img, err := s.Image(name, platform)
				if err != nil { // an index for other machines, or a damaged one
					fmt.Fprintf(w, "%s\t%s\t-\t-\t-\n", familiar(name), short(t.Digest.Encoded()))
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", familiar(name), short(img.ID.Encoded()),
					images.FormatPlatform(img.Config.Platform), inBytes(size(img)), created(img.Config.Created))
			}
			return w.Flush()
		}),
	})
}

// inspected is what inspect prints: the documents as they are in the store.
type inspected struct {
	Name     string            `json:"name,omitempty"`
	ID       string            `json:"id"`
	Target   images.Descriptor `json:"target"` // what the name stands for: the manifest, or an index
	Manifest images.Descriptor `json:"manifest"`
	Layers   []inspectedLayer  `json:"layers"`
	Config   json.RawMessage   `json:"config"`
}

type inspectedLayer struct {
	images.Descriptor
	DiffID  string `json:"diffID"`
	ChainID string `json:"chainID"`
}

func (p *program) inspect() *cobra.Command {
	return p.platformFlag(&cobra.Command{
		Use: "inspect NAME", Short: "Show an image's digests and its config, as JSON", Args: exactly(1),
		RunE: p.run(blobs, func(_ context.Context, s *images.Store, args []string) error {
			img, err := p.image(s, args[0])
			if err != nil {
				return err
			}
			out := inspected{Name: img.Name, ID: string(img.ID), Target: img.Target, Manifest: img.Manifest, Layers: []inspectedLayer{}, Config: img.ConfigJSON}
			chains := images.ChainIDs(img.Config.RootFS.DiffIDs)
			for i, l := range img.Layers {
				out.Layers = append(out.Layers, inspectedLayer{l, string(img.Config.RootFS.DiffIDs[i]), string(chains[i])})
			}
			enc := json.NewEncoder(os.Stdout)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(out)
		}),
	})
}

func (p *program) history() *cobra.Command {
	return p.platformFlag(&cobra.Command{
		Use: "history NAME", Short: "Show what made each layer, the last first", Args: exactly(1),
		RunE: p.run(blobs, func(_ context.Context, s *images.Store, args []string) error {
			img, err := p.image(s, args[0])
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "LAYER\tCREATED\tSIZE\tBY")
			layer := len(img.Layers)
			for _, h := range slices.Backward(img.Config.History) {
				id, n := "-", "-"
				if !h.EmptyLayer && layer > 0 {
					layer--
					id, n = short(img.Layers[layer].Digest.Encoded()), inBytes(img.Layers[layer].Size)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", id, created(h.Created), n, plain(h.CreatedBy))
			}
			for layer > 0 { // some tools tell no history
				layer--
				l := img.Layers[layer]
				fmt.Fprintf(w, "%s\t-\t%s\t-\n", short(l.Digest.Encoded()), inBytes(l.Size))
			}
			return w.Flush()
		}),
	})
}

func (p *program) tag() *cobra.Command {
	return &cobra.Command{
		Use: "tag NAME NEW", Short: "Give an image another name", Args: exactly(2),
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, args []string) error {
			unlock, err := s.Share(ctx)
			if err != nil {
				return err
			}
			defer unlock()
			target, err := p.target(s, args[0])
			if err != nil {
				return err
			}
			ref, err := remote.Parse(args[1])
			if err != nil {
				return err
			}
			return s.Tag(ctx, ref.String(), target)
		}),
	}
}

// target is what a name stands for, also where it has nothing for this machine.
func (p *program) target(s *images.Store, name string) (images.Descriptor, error) {
	if ref, err := remote.Parse(name); err == nil {
		if d, err := s.Tagged(ref.String()); err == nil {
			return d, nil
		}
	}
	img, err := p.image(s, name)
	if err != nil {
		return images.Descriptor{}, err
	}
	return img.Target, nil
}

func (p *program) rm() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Short: "Take names away; gc removes what no name stands for", Args: some,
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, args []string) error {
			var all error
			for _, name := range args {
				full, err := p.saved(s, name)
				if err == nil {
					err = s.Untag(ctx, full)
				}
				if err == nil {
					fmt.Println("untagged", familiar(full))
				}
				all = errors.Join(all, err)
			}
			return all
		}),
	}
}

func size(img *images.Image) (n int64) {
	for _, l := range img.Layers {
		n += l.Size
	}
	return n
}

func familiar(name string) string {
	if ref, err := remote.Parse(name); err == nil {
		return ref.Familiar()
	}
	return plain(name)
}

func short(hex string) string { return hex[:min(12, len(hex))] }

func created(t *time.Time) string {
	if t == nil || t.Unix() <= 0 {
		return "-" // a reproducible build has no time
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// plain is what a stranger wrote, on one line and without control characters.
func plain(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)), " ")
}

// inBytes words a size as docker does: powers of 1000.
func inBytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
