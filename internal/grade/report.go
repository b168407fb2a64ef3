package grade

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"coracle/internal/exercise"
)

// A Report is a graded submission.
type Report struct {
	Points    float64    `json:"points"`
	Of        int        `json:"of"`
	Unjudged  float64    `json:"unjudged"` // points of rungs that this machine cannot run
	Exercises []Exercise `json:"exercises"`
}

// An Exercise is what came of one.
type Exercise struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	State   State   `json:"state"`
	Points  float64 `json:"points"`
	Of      int     `json:"of"`
	Message string  `json:"message,omitempty"`
	Rungs   []Rung  `json:"rungs,omitempty"`
}

// add gives the points: each rung an equal part of the exercise's.
func (r *Report) add(row exercise.Exercise, e *Exercise) {
	share := float64(row.Points) / float64(max(1, len(row.Rungs)))
	passed, unjudged := 0, 0
	for i := range e.Rungs {
		e.Rungs[i].Says = row.Rungs[i].Says
		switch e.Rungs[i].State {
		case Passed:
			passed++
			e.Rungs[i].Points = round(share)
		case Cannot:
			unjudged++
		}
	}
	if e.State == "" {
		switch {
		case passed == len(row.Rungs):
			e.State = Passed
		case passed+unjudged == len(row.Rungs):
			e.State = Cannot
		default:
			e.State = Failed
		}
	}
	e.Points = round(share * float64(passed))
	r.Points = round(r.Points + e.Points)
	r.Unjudged = round(r.Unjudged + share*float64(unjudged))
	r.Of += row.Points
	r.Exercises = append(r.Exercises, *e)
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

// Full says whether every exercise that was asked for passed.
func (r *Report) Full() bool {
	for _, e := range r.Exercises {
		if e.State != Passed {
			return false
		}
	}
	return true
}

// Text writes a table, and below it why points were not given.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "EXERCISE\tSTATE\tPOINTS\tRUNGS\tTITLE")
	for _, e := range r.Exercises {
		rungs := "-"
		if len(e.Rungs) > 0 {
			n := 0
			for _, g := range e.Rungs {
				if g.State == Passed {
					n++
				}
			}
			rungs = fmt.Sprintf("%d of %d", n, len(e.Rungs))
		}
		fmt.Fprintf(t, "%s\t%s\t%v of %d\t%s\t%s\n", e.ID, e.State, e.Points, e.Of, rungs, e.Title)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range r.Exercises {
		if e.Message != "" {
			fmt.Fprintf(w, "\n%s %s: %s\n", e.ID, e.State, indent(e.Message))
		}
		said := map[string]bool{} // rungs that say the same are told together
		for i, g := range e.Rungs {
			if g.State == Passed || said[g.Message] {
				continue
			}
			said[g.Message] = true
			tests := []string{}
			for _, o := range e.Rungs[i:] {
				if o.State == g.State && o.Message == g.Message {
					tests = append(tests, o.Test)
				}
			}
			fmt.Fprintf(w, "\n%s %s, %s: %s\n", e.ID, g.State, strings.Join(tests, ", "), indent(g.Message))
		}
	}
	_, err := fmt.Fprintf(w, "\n%v of %d points", r.Points, r.Of)
	if r.Unjudged > 0 {
		fmt.Fprintf(w, ", %v could not be judged on this machine", r.Unjudged)
	}
	fmt.Fprintln(w)
	return err
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Time    float64   `xml:"time,attr"`
	Failure *junitWhy `xml:"failure,omitempty"`
	Skipped *junitWhy `xml:"skipped,omitempty"`
}

type junitWhy struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
}

// JUnit writes one suite an exercise. Unwritten and "machine cannot" are skipped,
// told apart by their type; refused is a failure.
func (r *Report) JUnit(w io.Writer) error {
	var all junitSuites
	for _, e := range r.Exercises {
		s := junitSuite{Name: e.ID + " " + e.Title}
		rungs := e.Rungs
		if len(rungs) == 0 {
			rungs = []Rung{{Test: e.ID, State: e.State, Message: e.Message}}
		}
		for _, g := range rungs {
			c := junitCase{Class: e.ID, Name: g.Test, Time: g.Seconds}
			why := &junitWhy{string(g.State), g.Message}
			s.Tests++
			switch g.State {
			case Passed:
			case Unwritten, Cannot:
				c.Skipped = why
				s.Skipped++
			default:
				c.Failure = why
				s.Failures++
			}
			s.Cases = append(s.Cases, c)
		}
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
