// Engine moves images between the store and a Docker Engine.
//
//	engine import NAME…   from the Engine into the store
//	engine export NAME…   from the store into the Engine
//
// It is a program of its own because of what it links: Docker's client is larger
// than all of image. Its exit status is 0, 125 for an error, 130 after Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	images "coracle/03-images"
	"coracle/03-images/archive"
	"coracle/03-images/docker"
	"coracle/03-images/remote"
	"coracle/03-images/userns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := root().ExecuteContext(ctx)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "engine: interrupted; the store is as it was")
		os.Exit(130)
	}
	fmt.Fprintln(os.Stderr, "engine:", strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; "))
	os.Exit(125)
}

func root() *cobra.Command {
	var dir, host, as string
	root := &cobra.Command{
		Use: "engine", Short: "Move images between the store and a Docker Engine",
		Example: `  engine import debian:12
  engine export --host tcp://127.0.0.1:2375 localhost/demo`,
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(_ *cobra.Command, args []string) error {
			return errors.New("no command: engine import NAME... or engine export NAME... (engine --help)")
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no command %q (engine --help lists them)", args[0])
			}
			return nil
		},
	}
	root.PersistentFlags().StringVar(&dir, "store", "", "folder of the store (default: as image has it)")
	root.PersistentFlags().StringVarP(&host, "host", "H", "", "the Engine's socket (default: $DOCKER_HOST, else /var/run/docker.sock)")
	verb := func(use, short string, do func(ctx context.Context, e *docker.Engine, s *images.Store, names []string) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("usage: %s", cmd.UseLine())
			}
			place, err := images.Place(dir)
			if err != nil {
				return err
			}
			s, err := images.Open(place, userns.Owners())
			if err != nil {
				return err
			}
			e, err := docker.Connect(cmd.Context(), host)
			if err != nil {
				return err
			}
			defer e.Close()
			return do(cmd.Context(), e, s, args)
		}})
	}
	verb("import NAME...", "Bring images of the Engine into the store", importAll(&as))
	root.Commands()[0].Flags().StringVar(&as, "name", "", "what to call one that is asked for by its ID")
	verb("export NAME...", "Bring images of the store into the Engine", exportAll)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	return root
}

func importAll(as *string) func(context.Context, *docker.Engine, *images.Store, []string) error {
	return func(ctx context.Context, e *docker.Engine, s *images.Store, names []string) error {
		loaded, err := e.Import(ctx, s, names, archive.LoadOptions{Name: *as})
		for _, i := range loaded {
			fmt.Println(i.Name, i.Target.Digest)
		}
		return err
	}
}

func exportAll(ctx context.Context, e *docker.Engine, s *images.Store, names []string) error {
	full := make([]string, len(names))
	for i, name := range names {
		ref, err := remote.Parse(name)
		if err != nil {
			return err
		}
		full[i] = ref.String()
	}
	said, err := e.Export(ctx, s, full, nil)
	for _, line := range said {
		fmt.Println(strings.TrimSpace(line))
	}
	return err
}
