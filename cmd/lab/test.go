package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/screen"
	"coracle/internal/trial"
	"coracle/internal/workshop"
)

func testCmd() *cobra.Command {
	var mine []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test [N|N.M]",
		Short: "Run the tests of what you wrote, the rest borrowed",
		Long: `Runs the tests of one exercise, of a chapter, or of everything, on what you
wrote. What you have not written is borrowed from the reference and not tested.
An exercise whose tests are all green is yours from then on.

Exit status: 0 if all that is written passes, 1 if not, 125 if nothing could be
run. Of a single exercise that is not written the status is 1.`,
		Example: `  ./lab test 1.2           one exercise
  ./lab test 1             what you wrote of chapter 1
  ./lab test 1.2 -v        every test's output and time
  ./lab test 2 --mine 1.2  with your 1.2 although it is not green yet`,
		Args:              atMost(1),
		ValidArgsFunction: completeIDs(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			es, err := some(args)
			if err != nil {
				return err
			}
			for _, id := range mine {
				if _, err := one(id); err != nil {
					return err
				}
			}
			ok, err := runTests(cmd.Context(), t, es, mine, verbose, nil)
			if err == nil && !ok {
				return failed()
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&mine, "mine", nil, "take these exercises from you, green or not")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "every test's output and time, all compile errors")
	return cmd
}

// runTests tries exercises folder by folder and shows the reports on stdout.
func runTests(ctx context.Context, t *workshop.Tree, es []exercise.Exercise, mine []string, verbose bool, run trial.Runner) (ok bool, err error) {
	s := screen.New(os.Stdout)
	ok = true
	var reports []*trial.Report
	for _, group := range byFolder(es) {
		note, clear := notes()
		rep, err := trial.Run(ctx, t, trial.Options{Exercises: group, Mine: mine, Note: note, Run: run})
		clear()
		if err != nil {
			return false, err
		}
		if len(reports) > 0 {
			fmt.Fprintln(s)
		}
		rep.Write(s, verbose)
		reports = append(reports, rep)
		ok = ok && rep.OK()
	}
	if len(es) == 1 {
		v := reports[0].Trials[0].Verdict
		ok = ok && v != trial.NotWritten && v != trial.StillMarked
	}
	return ok, closing(s, t, reports)
}

// closing says in a few lines what it came to and what to do next.
func closing(s *screen.Screen, t *workshop.Tree, reports []*trial.Report) error {
	count := map[trial.Verdict]int{}
	var first, only *trial.Trial
	var fresh []string
	var borrowed []exercise.Exercise
	took, unseen := "", ""
	for _, rep := range reports {
		if rep.Compile != nil {
			return nil
		}
		if first == nil {
			first = rep.First()
		}
		if len(rep.Borrowed) > len(borrowed) {
			borrowed = rep.Borrowed
		}
		if rep.Tests > 0 {
			took = ", " + rep.Took()
		}
		for i, tr := range rep.Trials {
			only = &rep.Trials[i]
			count[tr.Verdict]++
			if tr.Verdict == trial.Cannot && unseen == "" {
				unseen = tr.Exercise.ID
			}
			if tr.Verdict == trial.Passed && tr.New {
				fresh = append(fresh, tr.Exercise.ID)
			}
		}
	}
	fmt.Fprintln(s)
	if len(borrowed) > 0 && took != "" {
		fmt.Fprintln(s, s.Paint(screen.Dim, "borrowed: "+trial.Borrowing(borrowed)))
	}
	var parts []string
	for _, v := range []trial.Verdict{trial.Passed, trial.Failed, trial.Broken, trial.StillMarked, trial.Cannot, trial.NotWritten} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	fmt.Fprintln(s, strings.Join(parts, ", ")+took)
	if len(fresh) > 0 {
		yours, total, err := countYours(t)
		if err != nil {
			return err
		}
		verb := "is"
		if len(fresh) > 1 {
			verb = "are"
		}
		fmt.Fprintf(s, "%s\n", s.Paint(screen.Green, fmt.Sprintf("%s %s yours now: %d of %d parts of this cluster", strings.Join(fresh, ", "), verb, yours, total)))
	}
	if count[trial.Cannot] > 0 && first == nil {
		fmt.Fprintf(s, "What this machine cannot do is seen in a virtual machine: ./lab vm test %s\n", unseen)
	}
	switch {
	case first != nil && first.Compile == nil:
		fmt.Fprintln(s, s.Fold(fmt.Sprintf("next: ./lab hint %s, or read %s", first.Exercise.ID, first.Exercise.Page())))
	case first != nil:
	case len(fresh) > 0:
		fmt.Fprintln(s, "next: ./lab save keeps it in git, ./lab next says how to go on")
	case only != nil && count[trial.NotWritten] == 1 && len(parts) == 1:
		fmt.Fprintln(s, s.Fold(fmt.Sprintf("next: open %s, read %s", only.Exercise.File, only.Exercise.Page())))
	case count[trial.Passed] == 0:
		fmt.Fprintln(s, "next: ./lab next says where to begin")
	}
	return nil
}

func countYours(t *workshop.Tree) (yours, total int, err error) {
	for _, e := range exercise.All() {
		total++
		state, err := t.State(e)
		if err != nil && state != workshop.Unwritten {
			return 0, 0, err
		}
		if state == workshop.Yours {
			yours++
		}
	}
	return yours, total, nil
}

// notes returns a function that shows what takes time, on one line of a
// terminal that is wiped afterwards.
func notes() (note func(string), clear func()) {
	s := screen.New(os.Stderr)
	if !s.TTY {
		return func(string) {}, func() {}
	}
	return func(what string) { fmt.Fprintf(s, "\r\x1b[K%s …", screen.Cut(what, s.Width-3)) },
		func() { io.WriteString(s, "\r\x1b[K") }
}
