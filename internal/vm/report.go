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

	json      io.WriteCloser // test2json's input, or nil
	converter *exec.Cmd
}

// convert has everything pass through test2json, which makes the events that `go test -json` prints.
func (r *report) convert(ctx context.Context) error {
	r.converter = exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", r.pkg)
	r.converter.Stdout = r.out
	in, err := r.converter.StdinPipe()
	if err == nil {
		err = r.converter.Start()
	}
	if err != nil {
		return fmt.Errorf("go tool test2json: %w", err)
	}
	r.json, r.out, r.stream = in, in, true
	return nil
}

func (r *report) Write(p []byte) (int, error) {
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
	r.held.WriteTo(r.out) //nolint:errcheck // the terminal is gone
	io.WriteString(r.out, line)
	if r.json != nil {
		r.json.Close()
		r.converter.Wait() //nolint:errcheck // it prints what it could make of it
	}
}
