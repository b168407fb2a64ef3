package main

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	images "coracle/03-images"
	"coracle/03-images/remote"
	"coracle/03-images/userns"
)

const long = `Keep container images: pull them from a registry or build them, and make file
systems of them.

The store is a folder: --store, else $CORACLE_STORE, else
/var/lib/coracle/images for root and $XDG_DATA_HOME/coracle/images for others.`

// A program is one call.
type program struct {
	dir      string // the store
	platform string
	ordinary bool // an ordinary user called, and this is the process in his namespace
	status   int  // the exit status if there is no error
}

// Kinds of commands, by what they do to unpacked layers, whose files have owners.
const (
	blobs  = "blobs"  // no layer is unpacked: whoever calls does it
	layers = "layers" // layers are unpacked or removed: in a user namespace, unless root
	closed = "closed" // and mounted, for nobody else to see
)

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use: "image", Short: "Keep container images", Long: long,
		Example: `  image pull debian:12
  image mount debian:12 /mnt -- ls /mnt
  image build -t localhost/demo ./demo && image save localhost/demo | docker load`,
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			return errors.New("no command: image COMMAND (image --help lists them)")
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no command %q (image --help lists them)", args[0])
			}
			return nil
		},
	}
	root.PersistentFlags().StringVar(&p.dir, "store", "", "folder of the store")
	for _, c := range []*cobra.Command{
		p.pull(), p.push(), p.build(), p.ls(), p.inspect(), p.history(), p.tag(), p.rm(), p.gc(),
		p.unpack(), p.mount(), p.save(), p.load(), p.registry(),
	} {
		root.AddCommand(c)
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	return root
}

// work is what a command does with the store.
type work func(ctx context.Context, s *images.Store, args []string) error

// run opens the store, where the kind of work wants it, and does the work.
func (p *program) run(kind string, do work) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		dir, err := images.Place(p.dir)
		if err != nil {
			return err
		}
		if kind != blobs {
			entered, err := userns.Enter(kind == closed)
			if entered.Done || err != nil {
				p.status = entered.Status
				return err
			}
			p.ordinary = entered.Ordinary
		}
		s, err := images.Open(dir, userns.Owners())
		if err != nil {
			return err
		}
		return do(cmd.Context(), s, args)
	}
}

// platformFlag adds --platform.
func (p *program) platformFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&p.platform, "platform", "", "OS/ARCH[/VARIANT] (default: this machine's)")
	return cmd
}

func (p *program) wanted() (v1.Platform, error) {
	if p.platform == "" {
		return images.HostPlatform(), nil
	}
	return images.ParsePlatform(p.platform)
}

// image finds an image by what a person calls it: a name, an ID or its beginning.
func (p *program) image(s *images.Store, name string) (*images.Image, error) {
	platform, err := p.wanted()
	if err != nil {
		return nil, err
	}
	full := name
	ref, bad := remote.Parse(name)
	if bad == nil {
		full = ref.String()
	}
	img, err := s.Image(full, platform)
	if errors.Is(err, images.ErrNotFound) && full != name {
		if byID, e := s.Image(name, platform); e == nil {
			img, err = byID, nil
		} else if _, tagged := s.Tagged(full); tagged != nil && !errors.Is(e, images.ErrNotFound) {
			return nil, e
		}
	}
	if errors.Is(err, images.ErrNotFound) && bad != nil {
		return nil, bad
	}
	if err == nil && p.platform != "" {
		err = fits(img, platform)
	}
	if err != nil {
		return nil, err
	}
	return img, nil
}

// fits compares a platform that was asked for with an image that no index told of.
func fits(img *images.Image, platform v1.Platform) error {
	if _, err := images.Select(&v1.Index{Manifests: []v1.Descriptor{{Platform: &img.Config.Platform}}}, platform); err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	return nil
}

// exactly asks for arguments, and says which.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

func some(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: %s", cmd.UseLine())
	}
	return nil
}
