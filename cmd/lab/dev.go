package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"coracle/internal/doctor"
)

// devCmd is for the workshop's makers.
func devCmd() *cobra.Command {
	dev := &cobra.Command{Use: "dev", Short: "For the workshop's makers", Hidden: true}
	dev.AddCommand(&cobra.Command{
		Use:   "gen",
		Short: "Write solutions/overlay.json and solutions/stubs.txtar anew",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			changed, err := t.Generate()
			for _, file := range changed {
				fmt.Fprintln(cmd.OutOrStdout(), "wrote", file)
			}
			return err
		},
	})
	dev.AddCommand(&cobra.Command{
		Use:   "probe",
		Short: "What doctor runs in new namespaces",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return doctor.Probe() },
	})
	return dev
}
