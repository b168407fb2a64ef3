package gotest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Outcome is how a test ended.
type Outcome string

const (
	Pass    Outcome = "pass"
	Fail    Outcome = "fail"
	Skip    Outcome = "skip"
	Unended Outcome = "unended" // it began, and the process ended first
)

// A Test is one top-level test and what was printed while it ran, its subtests included.
type Test struct {
	Name    string
	Outcome Outcome
	Output  string
	Elapsed time.Duration
}

// A Result is one run of a test binary.
type Result struct {
	Tests   []Test
	Rest    string // output of no test: panics of TestMain, the closing line
	Exit    int
	Elapsed time.Duration
}

// Options narrow a run.
type Options struct {
	Run     []string      // names of top-level tests; nil: all
	Env     []string      // added to the environment
	Timeout time.Duration // -test.timeout; 0: a minute
	Live    io.Writer     // gets the output as it comes; may be nil
}

// Run runs bin in dir. An error means that it could not be run at all; failing
// tests are in the result.
func Run(ctx context.Context, bin, dir string, o Options) (*Result, error) {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	args := []string{"-test.v=test2json", "-test.timeout=" + o.Timeout.String()}
	if o.Run != nil {
		args = append(args, "-test.run=^("+strings.Join(o.Run, "|")+")$")
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CORACLE_LAB=1"), o.Env...)
	// A stray child that keeps the pipe open must not keep us.
	cmd.WaitDelay = 2 * time.Second
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	defer dieWithUs(cmd)()
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run the tests of %s: %w", dir, err)
	}
	parsed := make(chan *Result)
	go func() { parsed <- parse(r, o.Live) }()
	err := cmd.Wait()
	w.Close()
	res := <-parsed
	res.Elapsed = time.Since(start)
	res.Exit = cmd.ProcessState.ExitCode()
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return res, err
	}
	return res, nil
}

var ended = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)

// parse reads the output of -test.v=test2json: the testing package puts 0x16
// before each line of its own.
func parse(r io.Reader, live io.Writer) *Result {
	res, index := &Result{}, map[string]int{}
	var rest strings.Builder
	outputs := map[string]*strings.Builder{}
	current := ""
	top := func(name string) string { t, _, _ := strings.Cut(name, "/"); return t }
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if live != nil {
			io.WriteString(live, strings.ReplaceAll(line, "\x16", ""))
		}
		// A test that prints without a newline leaves its text before the mark.
		if i := strings.IndexByte(line, 0x16); i >= 0 {
			add(outputs[current], &rest, line[:i])
			line = line[i+1:]
			if f := strings.Fields(line); len(f) == 3 && f[0] == "===" {
				current = top(f[2])
				if f[1] == "RUN" && outputs[current] == nil {
					index[current] = len(res.Tests)
					outputs[current] = new(strings.Builder)
					res.Tests = append(res.Tests, Test{Name: current, Outcome: Unended})
				}
				line = ""
			} else if len(f) == 2 && f[1] == "NAME" { // "=== NAME" alone: of no test from here
				current, line = "", ""
			} else if m := ended.FindStringSubmatch(line); m != nil {
				current = top(m[2])
				if i, ok := index[current]; ok && current == m[2] {
					s, _ := strconv.ParseFloat(m[3], 64)
					res.Tests[i].Outcome = Outcome(strings.ToLower(m[1]))
					res.Tests[i].Elapsed = time.Duration(s * float64(time.Second))
					line = ""
				}
			}
		}
		add(outputs[current], &rest, line)
		if err != nil {
			break
		}
	}
	for i := range res.Tests {
		res.Tests[i].Output = outputs[res.Tests[i].Name].String()
	}
	res.Rest = rest.String()
	return res
}

func add(to, rest *strings.Builder, s string) {
	if to == nil {
		to = rest
	}
	to.WriteString(s)
}
