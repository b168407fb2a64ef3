package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/grade"
)

func gradeCmd() *cobra.Command {
	var o grade.Options
	var only []string
	var ref, junit string
	var asJSON, classroom bool
	o.Limits = grade.DefaultLimits
	cmd := &cobra.Command{
		Use:   "grade SUBMISSION",
		Short: "Give points for a submission: a directory, a git repository, a tar or zip archive",
		Long: `Takes the exercises' own files from a submission, and nothing else: tests, given
code and tools are those of this checkout, which should be the instructor's.
What is not submitted, or does not compile, costs only its own exercise.

The exit status is 0 if all that was asked for passed, 1 if not. Points of what
this machine cannot test are listed apart. Submissions run in the tests' sandbox;
where attacks are to be expected, add --vm.`,
		Example: "  ./lab grade ../alice\n  ./lab grade alice.tar.gz -e 1 --junit alice.xml\n  ./lab grade repos/alice.git --ref v1 -e 1.1 -e 1.2 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if classroom {
				_, err := cmd.OutOrStdout().Write(grade.Classroom(exercise.All()))
				return err
			}
			if len(args) != 1 {
				return usage("name a submission: ./lab grade DIRECTORY")
			}
			t, err := tree()
			if err != nil {
				return err
			}
			o.Exercises = nil
			if len(only) == 0 {
				o.Exercises = exercise.All()
			}
			for _, what := range only {
				es, err := some([]string{what})
				if err != nil {
					return err
				}
				o.Exercises = append(o.Exercises, es...)
			}
			var files []string
			for _, e := range o.Exercises {
				files = append(files, e.File)
			}
			sub, err := grade.Take(cmd.Context(), args[0], ref, files)
			if err != nil {
				return err
			}
			if abs, err := filepath.Abs(args[0]); err == nil {
				o.Hide = []string{filepath.Dir(abs)} // others are often beside it
			}
			r, err := grade.Run(cmd.Context(), t, sub, o)
			if err != nil {
				return err
			}
			if junit != "" {
				if err := writeJUnit(junit, r); err != nil {
					return err
				}
			}
			write := r.Text
			if asJSON {
				write = r.JSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !r.Full() {
				return failed()
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&only, "exercise", "e", nil, "an exercise or a chapter (repeat it for more)")
	f.StringVar(&ref, "ref", "", "of a git repository: the commit, tag or branch to grade")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&junit, "junit", "", "write JUnit XML to this file")
	f.BoolVar(&o.VM, "vm", false, "run the tests in a virtual machine: the same kernel for everyone")
	f.DurationVar(&o.Limits.Time, "time", o.Limits.Time, "limit of one test")
	f.BoolVar(&classroom, "classroom", false, "print GitHub Classroom's autograding.json and end")
	f.MarkHidden("classroom")
	return cmd
}

func writeJUnit(name string, r *grade.Report) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(r.JUnit(f), f.Close())
}
