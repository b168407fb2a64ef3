package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	images "coracle/03-images"
	"coracle/03-images/registry"
	"coracle/03-images/remote"
)

// An access is how registries are reached.
type access struct {
	ca, credentials string
	plain           []string
}

func (a *access) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.ca, "ca", "", "file of certificates (PEM) to believe besides the system's")
	cmd.Flags().StringArrayVar(&a.plain, "plain-http", nil, "HOST[:PORT] that speaks no TLS; may be repeated (loopback is tried)")
	cmd.Flags().StringVar(&a.credentials, "creds", "", "USER:PASSWORD (default: what docker login has kept)")
	return cmd
}

func (a *access) client() (*remote.Client, error) {
	o := remote.Options{PlainHTTP: a.plain}
	if a.ca != "" {
		var err error
		if o.CA, err = os.ReadFile(a.ca); err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
	}
	if a.credentials != "" {
		user, password, ok := strings.Cut(a.credentials, ":")
		if !ok {
			return nil, errors.New("--creds: want USER:PASSWORD")
		}
		o.Credentials = func(string) (remote.Credential, error) {
			return remote.Credential{User: user, Password: password}, nil
		}
	}
	return remote.New(o)
}

// references parses names. A password is for one registry: no other one is to see it.
func (a *access) references(names []string) (refs []remote.Reference, err error) {
	for _, name := range names {
		ref, err := remote.Parse(name)
		if err != nil {
			return nil, err
		}
		if a.credentials != "" && len(refs) > 0 && ref.Registry != refs[0].Registry {
			return nil, fmt.Errorf("--creds is for one registry: pull from %s and %s one after the other", refs[0].Registry, ref.Registry)
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

func (p *program) pull() *cobra.Command {
	var a access
	return a.flags(p.platformFlag(&cobra.Command{
		Use: "pull NAME...", Short: "Bring images from a registry, unpacked", Args: some,
		Example: `  image pull debian:12
  image pull --platform linux/arm64 --ca ca.pem registry.example:5000/app`,
		RunE: p.run(layers, func(ctx context.Context, s *images.Store, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			platform, err := p.wanted()
			if err != nil {
				return err
			}
			refs, err := a.references(args)
			if err != nil {
				return err
			}
			for i, ref := range refs {
				progress, end := show()
				d, err := client.Pull(ctx, s, ref, remote.PullOptions{Platform: &platform, Progress: progress})
				end()
				if err != nil {
					return err
				}
				fmt.Println(ref.Familiar(), d.Digest)
				if _, err := p.image(s, args[i]); err != nil { // the registry has one image, and it is for another machine
					fmt.Fprintln(os.Stderr, "image: warning:", err)
				}
			}
			return nil
		}),
	}))
}

func (p *program) push() *cobra.Command {
	var a access
	return a.flags(p.platformFlag(&cobra.Command{
		Use: "push NAME [AS]", Short: "Send an image to the registry that its name begins with", Args: cobra.RangeArgs(1, 2),
		Example: `  image push localhost:5000/demo
  image push localhost/demo registry.example/me/demo:2`,
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			to, err := remote.Parse(args[len(args)-1])
			if err != nil {
				return err
			}
			name, err := p.saved(s, args[0])
			if err != nil {
				return err
			}
			o := remote.PushOptions{}
			if p.platform != "" {
				platform, err := p.wanted()
				if err != nil {
					return err
				}
				o.Platform = &platform
			}
			var end func()
			o.Progress, end = show()
			d, err := client.Push(ctx, s, name, to, o)
			end()
			if err != nil {
				return err
			}
			fmt.Println(to.Familiar(), d.Digest)
			return nil
		}),
	}))
}

func (p *program) registry() *cobra.Command {
	var listen, cert, key string
	cmd := &cobra.Command{
		Use: "registry", Short: "Serve a store to docker, skopeo and clusters", Args: exactly(0),
		Long: `Serves the store as a registry until it is interrupted. Nobody is asked who they
are: let it listen on loopback, which all tools speak plain HTTP to, or put something
before it that asks. What is pushed to HOST:PORT/app:1 is registry.internal/app:1 in
the store.`,
		RunE: p.run(blobs, func(ctx context.Context, s *images.Store, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("--listen: %w", err)
			}
			r := registry.New(s, registry.Options{})
			defer r.Close()
			server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
			ended := make(chan error, 1)
			go func() {
				if cert != "" || key != "" {
					ended <- server.ServeTLS(l, cert, key)
				} else {
					ended <- server.Serve(l)
				}
			}()
			fmt.Println("listening on", l.Addr())
			select {
			case err := <-ended:
				return err
			case <-ctx.Done():
			}
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := server.Shutdown(stop); err != nil { // somebody is slow
				server.Close()
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:5000", "address")
	cmd.Flags().StringVar(&cert, "cert", "", "certificate (PEM), for TLS")
	cmd.Flags().StringVar(&key, "key", "", "its key (PEM)")
	return cmd
}
