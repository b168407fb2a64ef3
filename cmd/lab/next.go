package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/screen"
	"coracle/internal/trial"
	"coracle/internal/workshop"
)

func nextCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "next",
		Short:   "Where you stopped, the last failure, the next rung",
		Example: "  ./lab next",
		Args:    atMost(0),
		RunE: func(*cobra.Command, []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			return showNext(screen.New(os.Stdout), t)
		},
	}
}

func showNext(s *screen.Screen, t *workshop.Tree) error {
	e, ok, err := t.Next()
	if err != nil {
		return err
	}
	yours, total, err := countYours(t)
	if err != nil {
		return err
	}
	if !ok {
		fmt.Fprintf(s, "Nothing is left: %d of %d parts of this cluster are yours.\n", yours, total)
		if start := t.Progress().Start; yours < total {
			fmt.Fprintf(s, "You began at chapter %d; ./lab start 1 goes back to the first.\n", start)
		}
		return nil
	}
	state, gone := t.State(e)
	says := string(state)
	if gone != nil {
		says = "gone"
	}
	fmt.Fprintf(s, "%s (%s)\n", s.Paint(screen.Bold, e.ID+" "+e.Title), says)
	fmt.Fprintf(s, "  file  %s\n  read  %s\n  time  about %s\n", e.File, e.Page(), screen.Minutes(e.Minutes))
	if missing := unmet(t, e.Needs); len(missing) > 0 {
		fmt.Fprintf(s, "  needs %s, borrowed until they are yours\n", strings.Join(missing, " "))
	}
	if gone != nil {
		fmt.Fprintf(s, "\n%v\n", gone)
		return nil
	}
	a := t.Progress().Attempt(e.ID)
	switch state {
	case workshop.Unwritten:
		fmt.Fprintf(s, "\nBegin: read the file, delete the line `var _ = todo(%q)`, then ./lab test %s\n", e.ID, e.ID)
		if len(e.Rungs) > 0 {
			fmt.Fprintf(s, "The first rung: %sa %s\n", e.ID, e.Rungs[0].Says)
		}
	case workshop.Marked:
		fmt.Fprintf(s, "\n%s\n", s.Paint(screen.Yellow, fmt.Sprintf("! It was edited, but still bears its mark: delete the line `var _ = todo(%q)`, then ./lab test %s", e.ID, e.ID)))
	default:
		for i, r := range e.Rungs {
			if r.Test == a.Test {
				fmt.Fprintln(s, s.Fold(fmt.Sprintf("\nThe next rung: %s%c %s", e.ID, 'a'+i, r.Says)))
			}
		}
		if a.Message != "" {
			when := a.When.Local().Format("2 Jan 15:04")
			if fi, err := os.Stat(t.Path(e.File)); err == nil && fi.ModTime().After(a.When) {
				when += ", before your last change"
			}
			fmt.Fprintf(s, "\nIt said (%s):\n\n%s\n", when, s.Fold(trial.Indent(a.Message, "  ")))
		} else {
			fmt.Fprintln(s, "\nNot tested since it was changed.")
		}
		fmt.Fprintf(s, "\n./lab test %s · ./lab hint %s · ./lab watch\n", e.ID, e.ID)
	}
	fmt.Fprintf(s, "\n%d of %d parts of this cluster are yours.\n", yours, total)
	return nil
}

// unmet returns the needed exercises that are not yours.
func unmet(t *workshop.Tree, needs []string) (ids []string) {
	for _, id := range needs {
		if e, err := one(id); err == nil {
			if state, _ := t.State(e); state != workshop.Yours {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
