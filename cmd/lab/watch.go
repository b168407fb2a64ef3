package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
	"coracle/internal/screen"
	"coracle/internal/trial"
	"coracle/internal/watch"
	"coracle/internal/workshop"
)

func watchCmd() *cobra.Command {
	var plain bool
	cmd := &cobra.Command{
		Use:   "watch [--plain]",
		Short: "Test what you save, as you save it",
		Long: `Waits for saves and tests the exercise that was saved, on one screen that keeps
what turned green. A save during a test begins anew. Ctrl-C ends it.`,
		Example: "  ./lab watch\n  ./lab watch --plain | tee log    prints lines, redraws nothing",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			s := screen.New(os.Stdout)
			w := &watcher{t: t, plain: plain || !s.TTY}
			return w.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "print lines, redraw nothing")
	return cmd
}

type watcher struct {
	t      *workshop.Tree
	plain  bool
	es     []exercise.Exercise // what was saved last
	greens []string            // what became yours while watching
	says   string              // the last state in a line
	body   func(*screen.Screen)
}

func (w *watcher) run(ctx context.Context) error {
	var dirs []string
	for _, group := range byFolder(exercise.All()) {
		dirs = append(dirs, w.t.Path(group[0].Dir()))
	}
	saves := watch.Files(ctx, dirs)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	if !w.plain {
		fmt.Print("\x1b[?1049h\x1b[?25l") // the alternate screen, no cursor
		defer func() {
			fmt.Print("\x1b[?25h\x1b[?1049l")
			for _, g := range w.greens {
				fmt.Println(g)
			}
		}()
	}
	next, ok, err := w.t.Next()
	if err != nil {
		return err
	}
	w.says = "waiting for a save"
	results := make(chan result)
	cancel := context.CancelFunc(func() {})
	defer func() { cancel() }()
	running := 0
	start := func(es []exercise.Exercise) {
		cancel() // a newer save makes the running test old
		var run context.Context
		run, cancel = context.WithCancel(ctx)
		running++
		w.es, w.says = es, "testing "+trial.Borrowing(es)+" …"
		go func(n int) { results <- try(run, w.t, es, n) }(running)
	}
	if ok {
		if state, _ := w.t.State(next); state == workshop.Unwritten {
			w.says = fmt.Sprintf("waiting: open %s, delete its mark, save", next.File)
		} else {
			start([]exercise.Exercise{next})
		}
	}
	pending := running
	for {
		w.draw()
		select {
		case <-ctx.Done():
			for ; pending > 0; pending-- {
				<-results
			}
			return nil
		case <-resized:
		case files := <-saves:
			if es := w.concerns(files); len(es) > 0 {
				start(es)
				pending++
			}
		case r := <-results:
			pending--
			if r.n == running {
				w.take(r)
			}
		}
	}
}

// A result is what the n-th start came to.
type result struct {
	n       int
	reports []*trial.Report
	err     error
}

func try(ctx context.Context, t *workshop.Tree, es []exercise.Exercise, n int) result {
	r := result{n: n}
	for _, group := range byFolder(es) {
		rep, err := trial.Run(ctx, t, trial.Options{Exercises: group})
		if r.err = err; err != nil {
			break
		}
		r.reports = append(r.reports, rep)
	}
	return r
}

// concerns returns the exercises whose files were saved; a save of another file
// of the folder concerns what was tested last.
func (w *watcher) concerns(files []string) (es []exercise.Exercise) {
	for _, e := range exercise.All() {
		if slices.Contains(files, w.t.Path(e.File)) {
			es = append(es, e)
		}
	}
	if len(es) == 0 {
		for _, e := range w.es {
			if slices.ContainsFunc(files, func(f string) bool { return filepath.Dir(f) == w.t.Path(e.Dir()) }) {
				return w.es
			}
		}
	}
	return es
}

func (w *watcher) take(r result) {
	if r.err != nil {
		w.says = "lab: " + r.err.Error()
		w.body = nil
		return
	}
	var parts []string
	for _, rep := range r.reports {
		for _, tr := range rep.Trials {
			parts = append(parts, fmt.Sprintf("%s %s", tr.Exercise.ID, tr.Verdict))
			if tr.Verdict == trial.Passed && tr.New {
				w.greens = append(w.greens, fmt.Sprintf("✓ %s %s is yours, %s", tr.Exercise.ID, tr.Exercise.Title, time.Now().Format("15:04")))
			}
		}
		if rep.Compile != nil {
			parts = append(parts, rep.Dir+" does not compile")
		}
	}
	w.says = strings.Join(parts, ", ")
	// What it came to is worded now: it counts what is yours.
	var end strings.Builder
	s := screen.New(os.Stdout)
	s.Writer = &end
	if err := closing(s, w.t, r.reports); err != nil {
		fmt.Fprintln(s, "lab:", err)
	}
	w.body = func(s *screen.Screen) {
		for _, rep := range r.reports {
			rep.Write(s, false)
		}
		fmt.Fprint(s, end.String())
	}
	if w.plain {
		w.body(screen.New(os.Stdout))
	}
}

// draw shows everything anew on a fixed screen: what turned green above, the
// last report below, cut to what fits.
func (w *watcher) draw() {
	now := time.Now().Format("15:04:05")
	if w.plain {
		fmt.Printf("%s %s\n", now, w.says)
		return
	}
	s := screen.New(os.Stdout)
	var text strings.Builder
	page := *s
	page.Writer = &text
	yours, total, _ := countYours(w.t)
	fmt.Fprintf(&page, "%s %s\n", page.Paint(screen.Green, screen.Bar(yours, total, 20)),
		page.Paint(screen.Bold, screen.Cut(fmt.Sprintf("%d of %d parts of this cluster are yours", yours, total), s.Width-21)))
	for _, g := range w.greens[max(len(w.greens)-3, 0):] {
		fmt.Fprintln(&page, page.Paint(screen.Green, screen.Cut(g, s.Width)))
	}
	fmt.Fprintf(&page, "%s\n\n", strings.Join(screen.Wrap(now+" "+w.says, s.Width), "\n"))
	if w.body != nil {
		w.body(&page)
	}
	lines := fit(strings.Split(strings.TrimRight(text.String(), "\n"), "\n"), s.Width, s.Height-2)
	fmt.Print("\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J\r\n\n" + s.Paint(screen.Dim, "saves are tested · Ctrl-C ends") + "\x1b[K")
}

// fit keeps what the screen holds; a line wider than it takes several rows.
func fit(lines []string, width, height int) []string {
	rows := 0
	for i, line := range lines {
		n := 1 + (visible(line)-1)/width
		if rows+max(n, 1) > height-1 && i < len(lines)-1 {
			return append(lines[:i:i], "… ./lab test shows the rest")
		}
		rows += max(n, 1)
	}
	return lines
}

// visible counts columns, colour not among them.
func visible(line string) (n int) {
	escape := false
	for _, r := range line {
		switch {
		case r == 0x1b:
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}
