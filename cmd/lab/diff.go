package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"coracle/internal/screen"
	"coracle/internal/workshop"
)

func diffCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "diff N.M",
		Short: "Your version against the reference",
		Long: `Shows how your file differs from the reference. Before the exercise is yours this
shows the solution, so it wants --yes.`,
		Example:           "  ./lab diff 1.1\n  ./lab diff 1.1 --yes",
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := one(args[0])
			if err != nil {
				return err
			}
			t, err := tree()
			if err != nil {
				return err
			}
			state, err := t.State(e)
			if err != nil {
				return err
			}
			if state != workshop.Yours && !yes {
				fmt.Printf("%s is not yours yet (%s), and this shows the solution.\nA hint may be the better friend: ./lab hint %s. To look all the same: ./lab diff %s --yes\n", e.ID, state, e.ID, e.ID)
				return failed()
			}
			git := exec.CommandContext(cmd.Context(), "git", "--no-pager", "diff", "--no-index", "--color=never", "--", e.File, e.Solution())
			if screen.New(os.Stdout).Color {
				git.Args[4] = "--color=always"
			}
			if _, err := exec.LookPath("git"); err != nil {
				git = exec.CommandContext(cmd.Context(), "diff", "-u", e.File, e.Solution())
			}
			git.Dir, git.Stdout, git.Stderr = t.Root, os.Stdout, os.Stderr
			var status *exec.ExitError
			switch err := git.Run(); {
			case err == nil:
				fmt.Println("no difference")
			case errors.As(err, &status) && status.ExitCode() == 1: // they differ
			default:
				return fmt.Errorf("compare %s with %s: %w", e.File, e.Solution(), err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "show the solution although the exercise is not yours")
	return cmd
}
