package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

func solveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "solve N.M",
		Short: "Put the reference in the place of your file; yours is kept",
		Long: `Puts the reference in the place of your file. What was there is kept under
.lab/backup. To go on with a chapter you need not do this: what is not written
is borrowed anyway.`,
		Example:           "  ./lab solve 1.4",
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, args []string) error {
			return replace(args[0], "holds the reference now", func(t *workshop.Tree, e exercise.Exercise) ([]byte, error) {
				return os.ReadFile(t.Path(e.Solution()))
			})
		},
	}
}

func resetCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "reset N.M",
		Short:             "Put the pristine stub in the place of your file; yours is kept",
		Long:              "Puts the stub back as it was in the beginning. What was there is kept under .lab/backup.",
		Example:           "  ./lab reset 1.4",
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, args []string) error {
			return replace(args[0], "is the stub again", (*workshop.Tree).Stub)
		},
	}
}

func replace(id, says string, with func(*workshop.Tree, exercise.Exercise) ([]byte, error)) error {
	e, err := one(id)
	if err != nil {
		return err
	}
	t, err := tree()
	if err != nil {
		return err
	}
	content, err := with(t, e)
	if err != nil {
		return err
	}
	backup, err := t.Replace(e, content)
	if err != nil {
		return err
	}
	fmt.Println(e.File, says)
	if backup != "" {
		fmt.Println("yours is kept in", backup)
	}
	return nil
}
