package trial

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/screen"
)

// Write shows a report: rung by rung, the first failure in full, later ones
// folded to their names. A passed exercise is one line, unless it is the only
// one or verbose asks for all.
func (r *Report) Write(s *screen.Screen, verbose bool) {
	if r.Compile != nil {
		r.Compile.write(s, "The code below "+r.Dir, verbose)
		return
	}
	title := s.Width - 32
	for _, t := range r.Trials {
		e := t.Exercise
		line := fmt.Sprintf("%-5s %s ", e.ID, screen.Pad(e.Title, title))
		switch t.Verdict {
		case Passed:
			line += s.Paint(screen.Green, marks(t.Rungs)+" passed")
		case Failed, Broken:
			line += s.Paint(screen.Red, strings.TrimSpace(marks(t.Rungs)+" "+string(t.Verdict)))
		case StillMarked:
			line += s.Paint(screen.Yellow, "! "+string(t.Verdict))
		case Cannot:
			line += s.Paint(screen.Yellow, marks(t.Rungs)+" "+string(t.Verdict))
		default:
			line += s.Paint(screen.Dim, string(t.Verdict))
		}
		fmt.Fprintln(s, strings.TrimSpace(line))
		if len(r.Trials) == 1 || verbose || t.Verdict == Failed {
			t.writeRungs(s, verbose)
		}
	}
	r.writeNotes(s)
	first := r.First()
	if first == nil {
		return
	}
	if first.Compile != nil {
		first.Compile.write(s, first.Exercise.ID, verbose)
		return
	}
	if verbose { // the messages stand below their rungs
		return
	}
	rung := first.FirstFailed()
	fmt.Fprintf(s, "\n%s %s: %s\n\n", s.Paint(screen.Bold, rung.Name), rung.Test, describe(rung))
	for _, said := range []string{Trim(rung.Output), Trim(r.Rest)} {
		if said != "" {
			fmt.Fprintln(s, s.Fold(Indent(said, "  ")))
			break
		}
	}
	if first.Looks != "" {
		fmt.Fprintf(s, "\nThis looks like: %s\n", s.Paint(screen.Bold, first.Looks))
	}
	if later := r.laterFailures(rung.Name); len(later) > 0 {
		fmt.Fprintf(s, "\nAlso failing: %s (-v shows the messages)\n", strings.Join(later, " "))
	}
}

func (t *Trial) writeRungs(s *screen.Screen, verbose bool) {
	for i := range t.Rungs {
		r := &t.Rungs[i]
		style, mark := screen.Green, "✓"
		switch {
		case r.Outcome == NotReached:
			style, mark = screen.Dim, "· not reached"
		case r.Hangs:
			style, mark = screen.Red, "✗ hangs"
		case r.Outcome == gotest.Unended:
			style, mark = screen.Red, "✗ crashed"
		case r.Failed():
			style, mark = screen.Red, "✗ "+describe(r)
		case r.Outcome == gotest.Skip:
			style, mark = screen.Yellow, "– machine cannot"
		}
		if verbose && r.Elapsed > 0 {
			mark += fmt.Sprintf(" %.2fs", r.Elapsed.Seconds())
		}
		fmt.Fprintf(s, "  %-5s %s %s\n", r.Name, screen.Pad(r.Says, s.Width-26), s.Paint(style, mark))
		if text := Trim(r.Output); verbose && text != "" {
			fmt.Fprintln(s, s.Fold(Indent(text, "        ")))
		}
	}
}

// writeNotes says what the machine cannot do, once a reason, and what to do
// about an exercise that is still marked.
func (r *Report) writeNotes(s *screen.Screen) {
	var said []string
	for _, t := range r.Trials {
		if t.Verdict == StillMarked {
			fmt.Fprintf(s, "\n%s\n", s.Paint(screen.Yellow, fmt.Sprintf("! %s was edited, but still bears its mark, so no test looks at it.\n  Delete the line `var _ = todo(%q)`.",
				t.Exercise.File, t.Exercise.ID)))
		}
		for _, rung := range t.Rungs {
			if rung.Outcome == gotest.Skip && !rung.Failed() && !slices.Contains(said, rung.Why) {
				if said == nil {
					fmt.Fprintln(s)
				}
				said = append(said, rung.Why)
				fmt.Fprintln(s, s.Fold(rung.Name+" "+rung.Why))
			}
		}
	}
}

func (r *Report) laterFailures(after string) (names []string) {
	for _, t := range r.Trials {
		if t.Verdict == Broken {
			names = append(names, t.Exercise.ID)
		}
		for _, rung := range t.Rungs {
			if rung.Failed() && rung.Outcome != NotReached && rung.Name != after {
				names = append(names, rung.Name)
			}
		}
	}
	return names
}

func (c *CompileError) write(s *screen.Screen, what string, verbose bool) {
	if verbose {
		fmt.Fprintf(s, "\n%s\n", c.Output)
	}
	fmt.Fprintf(s, "\n%s does not compile:\n%s\n", s.Paint(screen.Bold, what), s.Fold("  "+c.First))
	if c.Advice != "" {
		fmt.Fprintln(s, s.Fold("  "+c.Advice))
	}
	if c.More > 0 && !verbose {
		fmt.Fprintf(s, "  and %d more (-v shows them)\n", c.More)
	}
}

func describe(r *Rung) string {
	if r.Hangs {
		return "does not end: a loop, or a wait for what never comes"
	}
	switch r.Outcome {
	case gotest.Unended:
		return "ended the whole test process"
	case gotest.Skip:
		return "was skipped"
	case NotReached:
		return "never began: the tests ended before it, or have no such test"
	}
	return string(r.Outcome) + "ed"
}

// marks draws the rungs in one word.
func marks(rungs []Rung) string {
	return Marks(letters(rungs))
}

// Marks draws an Attempt's rungs.
func Marks(letters string) string {
	return strings.NewReplacer("p", "✓", "f", "✗", "s", "–", "-", "·").Replace(letters)
}

// Borrowing lists in a line what is borrowed, "" for nothing.
func Borrowing(es []exercise.Exercise) string {
	var ids []string
	for _, e := range es {
		ids = append(ids, e.ID)
	}
	if len(ids) > 12 {
		ids = append(ids[:11], fmt.Sprintf("… (%d in all)", len(ids)))
	}
	return strings.Join(ids, " ")
}

// Took words how long a report took.
func (r *Report) Took() string {
	return fmt.Sprintf("%.1f s", (r.Build + r.Tests).Round(100*time.Millisecond).Seconds())
}
