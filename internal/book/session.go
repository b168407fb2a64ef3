package book

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// A Step is one command of a session and what it printed in the book.
type Step struct {
	Command string
	Want    string
	Line    int
}

// Steps splits a console block. A command goes on over the lines that begin with
// "> ", as a shell shows them.
func (b Block) Steps() []Step {
	var steps []Step
	for i, line := range strings.Split(strings.TrimRight(b.Body, "\n"), "\n") {
		if cmd, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, Step{Command: cmd, Line: b.Line + 1 + i})
			continue
		}
		if len(steps) == 0 {
			continue
		}
		last := &steps[len(steps)-1]
		if more, ok := strings.CutPrefix(line, "> "); ok && last.Want == "" {
			last.Command += "\n" + more
			continue
		}
		last.Want += line + "\n"
	}
	return steps
}

// Run runs a step in dir and says how its output differs from the book's.
func (s Step) Run(ctx context.Context, dir string, env []string) error {
	out, err := s.output(ctx, dir, env)
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("$ %s: %w\n%s", s.Command, err, out)
	}
	if !Matches(s.Want, string(out)) {
		return fmt.Errorf("$ %s\nthe page shows:\n%s\nit printed:\n%s", s.Command, s.Want, out)
	}
	return nil
}

// succeeds says whether the step ends with status 0, whatever it prints.
func (s Step) succeeds(ctx context.Context, dir string, env []string) bool {
	_, err := s.output(ctx, dir, env)
	return err == nil
}

func (s Step) output(ctx context.Context, dir string, env []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", s.Command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, errors.New("it did not end within two minutes")
	}
	return out, err
}

// Matches says whether output is what a page shows, where "..." stands for
// anything: whole lines if it is alone on its line, else text within the line.
func Matches(want, got string) bool {
	var re strings.Builder
	re.WriteString(`^`)
	for _, line := range strings.Split(strings.TrimRight(want, "\n"), "\n") {
		if strings.TrimSpace(line) == "..." {
			re.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		parts := strings.Split(strings.TrimRight(line, " "), "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re.WriteString(strings.Join(parts, `[^\n]*?`) + ` *\n`)
	}
	re.WriteString(`$`)
	got = strings.TrimRight(got, "\n") + "\n"
	return regexp.MustCompile(re.String()).MatchString(got)
}
