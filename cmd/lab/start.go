package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"coracle/internal/screen"
	"coracle/internal/workshop"
)

func startCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "start N",
		Short: "Begin at chapter N, everything before it borrowed",
		Long: `Lets next begin at chapter N. What comes before is borrowed from the reference
and can be written later; nothing is lost by beginning anywhere.`,
		Example:           "  ./lab start 2",
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(true),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := chapter(args[0])
			if err != nil {
				return err
			}
			t, err := tree()
			if err != nil {
				return err
			}
			if err := t.UpdateProgress(func(p *workshop.Progress) { p.Start = c.N }); err != nil {
				return err
			}
			if c.N > 1 {
				fmt.Printf("Beginning at chapter %d; what you have not written before it is borrowed.\n\n", c.N)
			}
			return showNext(screen.New(os.Stdout), t)
		},
	}
}
