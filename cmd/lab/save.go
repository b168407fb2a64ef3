package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/git"
)

func saveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "save [N.M...]",
		Short: "Commit exercises, one commit each with number and title",
		Long: `Commits the files of these exercises, or of all that changed: one commit each,
titled with the exercise's number and title. Nothing else is committed.`,
		Example:           "  ./lab save\n  ./lab save 1.2",
		ValidArgsFunction: completeIDs(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			es := exercise.All()
			if len(args) > 0 {
				es = nil
			}
			for _, arg := range args {
				e, err := one(arg)
				if err != nil {
					return err
				}
				es = append(es, e)
			}
			return save(cmd.Context(), es, len(args) > 0)
		},
	}
}

func save(ctx context.Context, es []exercise.Exercise, named bool) error {
	t, err := tree()
	if err != nil {
		return err
	}
	repo, err := git.Open(ctx, t.Root)
	if err != nil {
		return err
	}
	if err := repo.CanCommit(ctx); err != nil {
		return err
	}
	changed, err := repo.Changed(ctx)
	if err != nil {
		return err
	}
	saved := 0
	for _, e := range es {
		if changed[e.File] == "" {
			if named {
				fmt.Printf("%s is saved already\n", e.ID)
			}
			continue
		}
		state, err := t.State(e)
		if err != nil {
			return err
		}
		title := fmt.Sprintf("%s: %s (%s)", e.ID, e.Title, state)
		if changed[e.File] == "??" {
			if _, err := repo.Run(ctx, "add", "--", e.File); err != nil {
				return err
			}
		}
		// With a path, git commit takes this file alone, whatever else is staged.
		if _, err := repo.Run(ctx, "commit", "-q", "-m", title, "--", e.File); err != nil {
			return fmt.Errorf("save %s: %w", e.ID, err)
		}
		fmt.Println("saved", title)
		saved++
	}
	if saved == 0 && !named {
		fmt.Println("nothing to save: no exercise changed since the last commit")
	}
	return nil
}
