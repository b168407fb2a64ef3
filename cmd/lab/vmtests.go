package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/trial"
	"coracle/internal/vm"
	"coracle/internal/workshop"
)

func vmTestCmd(m *machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test N|N.M [-v]",
		Short: "Run a chapter's tests there, what you wrote from you, the rest borrowed",
		Long: `Runs all tests of a chapter or of one exercise in the virtual machine and reports
as go test does. What bears no mark is taken from you, the rest is the reference.
An exercise of yours whose tests are all green there is yours from then on.`,
		Args:              exactly(1),
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
			return vmTest(cmd, t, es, m)
		},
	}
	cmd.Flags().BoolVarP(&m.verbose, "verbose", "v", false, "every test's output")
	return cmd
}

func vmTest(cmd *cobra.Command, t *workshop.Tree, es []exercise.Exercise, m *machine) error {
	var mine []string
	written := map[string][]byte{} // exercise → the content that is tested
	for _, e := range es {
		state, err := t.State(e)
		if err != nil && state != workshop.Unwritten {
			return err
		}
		if state == workshop.Yours || state == workshop.InProgress {
			mine = append(mine, e.ID)
			if written[e.ID], err = os.ReadFile(t.Path(e.File)); err != nil {
				return err
			}
		}
	}
	layer, borrowed, err := t.Borrow(mine...)
	if err != nil {
		return err
	}
	overlay, err := t.Write(layer)
	if err != nil {
		return err
	}
	borrowed = slices.DeleteFunc(borrowed, func(e exercise.Exercise) bool { return e.Chapter() > es[0].Chapter() })
	if len(borrowed) > 0 {
		fmt.Fprintf(os.Stderr, "lab: tested on the reference, because they are not yours: %s\n", trial.Borrowing(borrowed))
	}
	if m.disk == 0 && es[0].Chapter() > 2 {
		m.disk = 2048 // image stores: tmpfs has user xattrs only from Linux 6.6
	}
	spec := vm.TestSpec{ModuleRoot: t.Root, Overlay: overlay, User: m.user, JSON: true, Machine: m.config(cmd)}
	for _, group := range byFolder(es) {
		pattern := "./" + group[0].Dir()
		if len(es) > 1 {
			pattern += "/..."
		}
		spec.Packages = append(spec.Packages, pattern)
	}
	if len(es) == 1 {
		var tests []string
		for _, r := range es[0].Rungs {
			tests = append(tests, r.Test)
		}
		spec.Args = append(spec.Args, "-run=^("+strings.Join(tests, "|")+")$")
	}
	events := &events{out: cmd.OutOrStdout(), verbose: m.verbose, outcome: map[string]string{}, held: map[string]string{}}
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() { read <- events.read(r) }()
	code, err := vm.Test(cmd.Context(), spec, w)
	w.Close()
	if err2 := <-read; err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	for _, e := range es {
		if src := written[e.ID]; src != nil && events.passed(e) {
			if err := t.Remember(e, src, true); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is yours\n", e.ID)
		}
	}
	if code != 0 {
		return failed()
	}
	return nil
}

// events reads the lines of test2json and prints what go test would.
type events struct {
	out     io.Writer
	verbose bool
	outcome map[string]string // test → its last action
	held    map[string]string // test → output that is shown if it fails
}

func (e *events) read(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var ev struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&ev); err == io.EOF {
			return nil
		} else if err != nil {
			io.Copy(io.Discard, r)
			return fmt.Errorf("read the test events: %w", err)
		}
		top, _, _ := strings.Cut(ev.Test, "/")
		switch {
		case ev.Action == "output" && ev.Test == "" && strings.Contains(ev.Output, " written"):
			// The closing line of a chapter's tests: there it counts the borrowed too.
		case ev.Action == "output" && (e.verbose || ev.Test == ""):
			if e.verbose || ev.Output != "PASS\n" {
				io.WriteString(e.out, ev.Output)
			}
		case ev.Action == "output":
			if !strings.HasPrefix(ev.Output, "=== ") {
				e.held[top] += ev.Output
			}
		case ev.Test != "" && ev.Test == top:
			e.outcome[top] = ev.Action
			if ev.Action == "fail" {
				io.WriteString(e.out, e.held[top])
			}
			delete(e.held, top)
		}
	}
}

func (e *events) passed(x exercise.Exercise) bool {
	return len(x.Rungs) > 0 && !slices.ContainsFunc(x.Rungs, func(r exercise.Rung) bool { return e.outcome[r.Test] != "pass" })
}
