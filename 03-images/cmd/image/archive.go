package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	namespaces "coracle/01-namespaces"
	images "coracle/03-images"
	"coracle/03-images/archive"
	"coracle/03-images/remote"
)

func (p *program) save() *cobra.Command {
	var file string
	var o archive.SaveOptions
	cmd := p.platformFlag(&cobra.Command{
		Use: "save NAME...", Short: "Write images as one archive, for docker load, skopeo or umoci", Args: some,
		Example: `  image save -o demo.tar localhost/demo
  image save localhost/demo | docker load`,
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, args []string) (err error) {
			if p.platform != "" {
				platform, err := p.wanted()
				if err != nil {
					return err
				}
				o.Platform = &platform
			}
			names := make([]string, len(args))
			for i, arg := range args {
				if names[i], err = p.saved(s, arg); err != nil {
					return err
				}
			}
			if file == "" && namespaces.IsTerminal(os.Stdout) {
				return errors.New("an archive is nothing for a terminal: save with -o FILE, or into a pipe")
			}
			return into(file, func(w io.Writer) error {
				progress, end := show()
				defer end()
				o.Progress = progress
				return archive.Save(ctx, s, w, names, o)
			})
		}),
	})
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write (default: stdout)")
	cmd.Flags().BoolVarP(&o.Gzip, "gzip", "z", false, "compress it")
	return cmd
}

// saved is the full name, or the digest, by which the archive will know an image.
func (p *program) saved(s *images.Store, name string) (string, error) {
	if ref, err := remote.Parse(name); err == nil {
		if _, err := s.Tagged(ref.String()); err == nil {
			return ref.String(), nil
		}
	}
	img, err := p.image(s, name)
	if err != nil {
		return "", err
	}
	if img.Name != "" {
		return img.Name, nil
	}
	return string(img.Target.Digest), nil
}

// into writes a file that gets its name when it is whole; "" is stdout.
func into(file string, write func(io.Writer) error) error {
	if file == "" {
		w := bufio.NewWriterSize(os.Stdout, 1<<20)
		return errors.Join(write(w), w.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is no such name
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func (p *program) load() *cobra.Command {
	var file string
	var o archive.LoadOptions
	cmd := &cobra.Command{
		Use: "load", Short: "Read images from an archive of docker save, skopeo or image save", Args: exactly(0),
		Example: `  image load -i demo.tar
  docker save demo | image load`,
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, _ []string) error {
			f := os.Stdin
			if file != "" {
				var err error
				if f, err = os.Open(file); err != nil {
					return err
				}
				defer f.Close()
			} else if namespaces.IsTerminal(f) {
				return errors.New("an archive does not come from a terminal: load with -i FILE, or from a pipe")
			}
			fi, err := f.Stat()
			if err != nil {
				return err
			}
			var r io.Reader = f
			if !fi.Mode().IsRegular() {
				r = interruptible{ctx, f}
			}
			progress, end := show()
			o.Progress = progress
			loaded, err := archive.Load(ctx, s, r, o)
			end()
			for _, i := range loaded {
				fmt.Println(familiar(i.Name), i.Target.Digest)
			}
			return err
		}),
	}
	cmd.Flags().StringVarP(&file, "input", "i", "", "file to read (default: stdin)")
	cmd.Flags().StringVar(&o.Name, "name", "", "what to call its one image")
	return cmd
}

// A read from a pipe waits for its writer, whatever happens here: interruptible
// leaves it behind.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done, buf := make(chan result, 1), make([]byte, len(p))
	go func() {
		n, err := i.r.Read(buf)
		done <- result{n, err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	case r := <-done:
		return copy(p, buf[:r.n]), r.err
	}
}
