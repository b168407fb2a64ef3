package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"coracle/internal/screen"
	"coracle/internal/workshop"
)

func hintCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "hint N.M",
		Short: "A hint, beginning with the one for the test that fails",
		Long: `Shows one of an exercise's three hints: an experiment or a man page to look at,
then the calls in order, then the shape. It begins with the one for the test that
failed last; each further call gives the next.`,
		Example:           "  ./lab hint 1.1\n  ./lab hint 1.1 --all",
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := one(args[0])
			if err != nil {
				return err
			}
			t, err := tree()
			if err != nil {
				return err
			}
			hints, err := t.Hints(e)
			if err != nil {
				return err
			}
			s := screen.New(os.Stdout)
			show := func(n int) {
				fmt.Fprintf(s, "%s\n\n%s\n", s.Paint(screen.Bold, fmt.Sprintf("%s, hint %d of %d", e.ID, n, len(hints))), s.Fold(hints[n-1]))
			}
			if all {
				for n := range hints {
					if n > 0 {
						fmt.Fprintln(s)
					}
					show(n + 1)
				}
				return nil
			}
			n := 0
			err = t.UpdateProgress(func(p *workshop.Progress) {
				a := p.Attempt(e.ID)
				n = a.NextHint(e, len(hints))
				a.Hint, a.HintFor = n, a.Test
			})
			if n == 0 {
				return err
			}
			show(n)
			if n < len(hints) {
				fmt.Fprintf(s, "\nNot enough? ./lab hint %s once more gives the next.\n", e.ID)
			} else {
				fmt.Fprintf(s, "\nThat was the last one. The whole is shown by ./lab diff %s.\n", e.ID)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all hints at once")
	return cmd
}
