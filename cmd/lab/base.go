package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"coracle/internal/base"
)

func baseCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "base",
		Short: "Print the folder of the base root file system, built if need be",
		Long: `Prints where the base root file system is: a shell and core tools, built from the
workshop's own sources. Its programs are static and run outside a container too.`,
		Example: "  ls $(./lab base)/bin\n  ./lab run 2 limit --memory 32M -- $(./lab base)/bin/stress --vm 100M",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			dir, err := base.Ensure(cmd.Context(), t.Root)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), dir)
			}
			return err
		},
	}
}
