package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	images "coracle/03-images"
)

func (p *program) gc() *cobra.Command {
	o := images.CollectOptions{Steps: 7 * 24 * time.Hour, Partial: 24 * time.Hour}
	var all bool
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove what no name, snapshot or build needs", Args: exactly(0),
		Long: `Removes what no name, snapshot or build needs. Kept are also steps of builds that
were used within a week and downloads that broke off within a day, unless --all.
It waits until nobody adds to the store.`,
		RunE: p.run(layers, func(ctx context.Context, s *images.Store, _ []string) error {
			if all {
				o.Steps, o.Partial = 0, 0
			}
			if err := sayIfBusy(ctx, s); err != nil {
				return err
			}
			done, err := s.Collect(ctx, o)
			if err != nil {
				return err
			}
			verb := "removed"
			if o.DryRun {
				verb = "would remove"
			}
			fmt.Printf("%s %s, %s, %s, %s: %s\n", verb, count(done.Blobs, "blob"), count(done.Layers, "layer"),
				count(done.Steps, "build step"), count(done.Partial, "leftover"), inBytes(done.Bytes))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say what would go")
	cmd.Flags().BoolVar(&all, "all", false, "build steps and partial downloads too")
	return cmd
}

// sayIfBusy returns once nobody adds to the store, and says so if that takes a while.
func sayIfBusy(ctx context.Context, s *images.Store) error {
	said := time.AfterFunc(time.Second, func() { fmt.Fprintln(os.Stderr, "image: waiting until nobody adds to the store") })
	defer said.Stop()
	unlock, err := s.Alone(ctx)
	if err == nil {
		unlock()
	}
	return err
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
