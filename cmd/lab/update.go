package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"coracle/internal/screen"
	"coracle/internal/update"
)

func updateCmd() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "update [--from URL|PATH|REF]",
		Short: "Take a newer workshop, your exercises stay as they are",
		Long: `Fetches the newest workshop (from the remote upstream, or else origin) and makes
one commit with it. Files of exercises that you wrote are not touched; where the
stub below one changed, the difference is shown. Whatever else you committed is
merged. Nothing is done if anything that is not committed would be in the way.`,
		Example: "  ./lab update\n  ./lab update --from ../coracle-new\n  ./lab update --from v1.2",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			rep, err := update.Run(cmd.Context(), t, from)
			if err != nil {
				return err
			}
			s := screen.New(os.Stdout)
			if rep.To == rep.From {
				fmt.Fprintln(s, "this is the newest workshop already")
				return nil
			}
			fmt.Fprintf(s, "updated to %s: %s changed\n", rep.To, count(rep.Changed, "file"))
			if n := len(rep.Kept); n > 0 {
				fmt.Fprintf(s, "kept as you wrote them: %s\n", count(n, "exercise file"))
			}
			for _, file := range rep.Backups {
				fmt.Fprintf(s, "no longer an exercise, yours is kept in %s\n", file)
			}
			for _, stub := range rep.Stubs {
				fmt.Fprintf(s, "\nthe stub below your %s changed:\n%s\n", stub.File, stub.Diff)
			}
			fmt.Fprintf(s, "\nnext: ./lab test, which may have learned something; to go back: git reset --keep %s\n", rep.From)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "a URL, a folder, a remote or a commit to update from")
	return cmd
}

// count words a number of things: "1 file", "2 files".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
