package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
)

// report is one package's part of the output: held back until its verdict, unless it streams.
type report struct {
	pkg    string
	out    io.Writer
	stream bool
	held   bytes.Buffer
	none   bool // the binary said that no test matched
	open   bool // the last line has no end yet

	begin    func() error // before the first output, or nil
	finished func()       // after the last, or nil
}

// asJSON has everything pass through test2json, which makes the events that `go test -json` prints. It is started with
// the first output, so that there is only one at a time.
func (r *report) asJSON(ctx context.Context) {
	r.stream, r.begin = true, func() error {
		r.begin = nil
		cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", r.pkg)
		cmd.Stdout = r.out
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return fmt.Errorf("go tool test2json: %w", err)
		}
		r.out, r.finished = in, func() { in.Close(); cmd.Wait() } //nolint:errcheck // it prints what it could make of it
		return nil
	}
}

func (r *report) Write(p []byte) (int, error) {
	if r.begin != nil {
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	r.open = len(p) > 0 && p[len(p)-1] != '\n'
	r.none = r.none || bytes.Contains(p, []byte("testing: warning: no tests to run"))
	if r.stream {
		return r.out.Write(p)
	}
	return r.held.Write(p)
}

// finish prints the verdict as go test words it.
func (r *report) finish(result Result) (ok bool) {
	seconds := fmt.Sprintf("%.3fs", result.Elapsed.Seconds())
	if result.Code == 0 {
		if r.none {
			seconds += " [no tests to run]"
		}
		r.held.Reset()
		r.end(fmt.Sprintf("ok  \t%s\t%s\n", r.pkg, seconds))
		return true
	}
	silent := !r.open && r.held.Len() == 0
	if r.open {
		r.held.WriteByte('\n')
	}
	switch {
	case result.Error != "":
		fmt.Fprintln(&r.held, result.Error)
	case result.Signal != "":
		fmt.Fprintln(&r.held, "signal:", result.Signal)
	case silent:
		fmt.Fprintln(&r.held, "exit status", result.Code)
	}
	r.end(fmt.Sprintf("FAIL\t%s\t%s\n", r.pkg, seconds))
	return false
}

// end prints what was held back, and the last line.
func (r *report) end(line string) {
	held := r.held.String()
	r.held.Reset()
	r.stream = true
	io.WriteString(r, held+line) //nolint:errcheck // the terminal is gone
	if r.finished != nil {
		r.finished()
	}
}
