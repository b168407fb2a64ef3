package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/screen"
	"coracle/internal/trial"
	"coracle/internal/workshop"
)

func statusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status [N]",
		Short: "What is yours, in progress and borrowed",
		Long: `Shows every exercise and how far it is: unwritten (borrowed from the reference),
in progress (its tests are not green on what is there now), yours.

In a pipe: one line an exercise with tabs between number, state, minutes left,
points, points in all, file and title, and a last line that sums up.`,
		Example:           "  ./lab status\n  ./lab status 1 | awk -F'\\t' '$2 == \"yours\"'",
		Args:              atMost(1),
		ValidArgsFunction: completeIDs(true),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			es, err := some(args)
			if err != nil {
				return err
			}
			return showStatus(screen.New(os.Stdout), t, es)
		},
	}
}

// A row is one line of the table.
type row struct {
	e      exercise.Exercise
	state  workshop.State
	rungs  string
	next   bool
	points int
	left   int // minutes
	gone   error
}

type sum struct{ yours, total, points, ofPoints, left int }

func (s *sum) add(r row) {
	s.total++
	s.ofPoints += r.e.Points
	s.points += r.points
	s.left += r.left
	if r.state == workshop.Yours {
		s.yours++
	}
}

func rows(t *workshop.Tree, es []exercise.Exercise) ([]row, error) {
	progress := t.Progress()
	next, hasNext, err := t.Next()
	if err != nil {
		return nil, err
	}
	var rs []row
	for _, e := range es {
		state, err := t.State(e)
		if err != nil && state != workshop.Unwritten {
			return nil, err
		}
		r := row{e: e, state: state, next: hasNext && next.ID == e.ID, left: e.Minutes, gone: err}
		switch state {
		case workshop.Yours:
			r.points, r.left = e.Points, 0
			r.rungs = strings.Repeat("p", len(e.Rungs))
		case workshop.InProgress:
			r.rungs = progress.Attempt(e.ID).Rungs
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func showStatus(s *screen.Screen, t *workshop.Tree, es []exercise.Exercise) error {
	rs, err := rows(t, es)
	if err != nil {
		return err
	}
	var all sum
	for _, r := range rs {
		all.add(r)
	}
	says := fmt.Sprintf("%d of %d parts of this cluster are yours", all.yours, all.total)
	if len(es) < len(exercise.All()) {
		says = fmt.Sprintf("%d of %d parts of chapter %d are yours", all.yours, all.total, es[0].Chapter())
	}
	if !s.TTY {
		for _, r := range rs {
			state := string(r.state)
			if r.gone != nil {
				state = "gone"
			}
			fmt.Fprintf(s, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", r.e.ID, state, r.left, r.points, r.e.Points, r.e.File, r.e.Title)
		}
		fmt.Fprintln(s, says)
		return nil
	}
	width := min(s.Width, 104)
	left := "all done"
	if all.left > 0 {
		left = "about " + screen.Minutes(all.left) + " to go"
	}
	fmt.Fprintf(s, "\n  %s\n", s.Paint(screen.Bold, says))
	bar := screen.Bar(all.yours, all.total, min(30, width-4))
	apart := "  "
	if width < 76 {
		apart = "\n  "
	}
	fmt.Fprintf(s, "  %s%s%d of %d points, %s\n", s.Paint(screen.Green, bar), apart, all.points, all.ofPoints, left)
	chapter := 0
	for _, r := range rs {
		if c := r.e.Chapter(); c != chapter {
			chapter = c
			writeChapter(s, width, rs, c)
		}
		writeRow(s, width, r)
	}
	fmt.Fprintln(s)
	for _, r := range rs {
		switch {
		case r.gone != nil:
			fmt.Fprintf(s, "  %s\n", s.Paint(screen.Red, "! "+r.gone.Error()))
		case r.state == workshop.Marked:
			fmt.Fprintf(s, "  %s\n", s.Paint(screen.Yellow, fmt.Sprintf("! %s was edited, but still bears its mark, so no test looks at it:", r.e.File)))
			fmt.Fprintf(s, "    delete the line `var _ = todo(%q)`\n", r.e.ID)
		}
	}
	for _, r := range rs {
		if r.next {
			fmt.Fprintf(s, "  next: %s %s\n  ./lab next · ./lab test %s · ./lab hint %s\n\n", r.e.ID, screen.Cut(r.e.Title, width-14), r.e.ID, r.e.ID)
		}
	}
	return nil
}

func writeChapter(s *screen.Screen, width int, rs []row, n int) {
	var c sum
	for _, r := range rs {
		if r.e.Chapter() == n {
			c.add(r)
		}
	}
	title := fmt.Sprint("Chapter ", n)
	for _, ch := range exercise.Chapters() {
		if ch.N == n {
			title = fmt.Sprintf("%d  %s", n, ch.Title)
		}
	}
	count := fmt.Sprintf("%2d of %-2d", c.yours, c.total)
	fmt.Fprintf(s, "\n  %s  %s %s\n", s.Paint(screen.Bold, screen.Pad(title, max(width-26, 12))), count,
		s.Paint(screen.Green, screen.Bar(c.yours, c.total, 10)))
}

// writeRow: the columns that a narrow terminal has no room for are left out.
func writeRow(s *screen.Screen, width int, r row) {
	wide := width >= 72
	style, says, more := screen.Dim, string(r.state), ""
	switch {
	case r.gone != nil:
		style, says = screen.Red, "gone"
	case r.state == workshop.Unwritten:
		more = "→ borrowed"
	case r.state == workshop.Marked:
		style, says, more = screen.Yellow, "! edited,", "still marked"
	case r.state == workshop.InProgress:
		style, more = screen.Cyan, trial.Marks(r.rungs)
	case r.state == workshop.Yours:
		style, says, more = screen.Green, "yours      ", trial.Marks(r.rungs)
	}
	column := 12
	if wide || r.state == workshop.Marked {
		says, column = says+" "+more, 22
	}
	arrow := "  "
	if r.next {
		arrow = s.Paint(screen.Bold, "→ ")
	}
	minutes := ""
	if r.left > 0 {
		minutes = fmt.Sprintf("%d min", r.left)
	}
	tail := ""
	title := width - 11 - column
	if wide {
		tail = fmt.Sprintf(" %7s %3d/%d p", minutes, r.points, r.e.Points)
		title -= 17
	}
	fmt.Fprintf(s, "  %s%-4s %s %s%s\n", arrow, r.e.ID, screen.Pad(r.e.Title, title), s.Paint(style, screen.Pad(says, column)), tail)
}
