package main

import (
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/verify"
)

func verifyCmd() *cobra.Command {
	var o verify.Options
	cmd := &cobra.Command{
		Use:   "verify [N|N.M]",
		Short: "Check the whole workshop in every direction: stubs, references, mistakes, your own code",
		Long: `Check everything that CI checks: each stub is skipped, fails clearly once its
mark is gone, each reference passes, each known mistake is refused by name, each
alternative is accepted, what you wrote passes, and nothing is orphaned.

Results are kept by content, so that a second run builds nothing. The last line
is "N passed, N failed, N skipped"; the exit status is 1 if anything failed.`,
		Example: "  ./lab verify\n  ./lab verify 1\n  ./lab verify 1.2\n  ./lab verify --fresh --strict",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				es, err := some(args)
				if err != nil {
					return err
				}
				if o.Chapter = es[0].Chapter(); strings.Contains(args[0], ".") {
					o.Exercise = es[0].ID
				}
			}
			t, err := tree()
			if err != nil {
				return err
			}
			o.Out = cmd.OutOrStdout()
			r, err := verify.Run(cmd.Context(), verify.Ours(t), o)
			if err != nil {
				return err
			}
			if len(r.Failed) > 0 {
				return failed()
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.Fresh, "fresh", false, "take no kept result")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "fail on what this machine cannot check")
	cmd.Flags().BoolVar(&o.Update, "update", false, "write "+verify.DiagnosisFile+" from what was seen")
	return cmd
}
