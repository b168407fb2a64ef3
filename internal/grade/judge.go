package grade

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// judge runs the rungs of a unit in order, each in a process of its own. After
// one that had to be killed the rest is not tried: it would only cost its time.
func judge(ctx context.Context, u unit) ([]Rung, error) {
	var rungs []Rung
	killed := ""
	for _, test := range u.Tests {
		if killed != "" {
			rungs = append(rungs, Rung{Test: test, State: Failed, Message: "not run: " + killed + " had to be killed"})
			continue
		}
		start := time.Now()
		r, dead, err := one(ctx, u, test)
		if err != nil {
			return nil, err
		}
		r.Seconds = time.Since(start).Seconds()
		rungs = append(rungs, r)
		if dead {
			killed = test
		}
	}
	return rungs, nil
}

// grace is what the sandbox gets after the test binary's own time.
const grace = 5 * time.Second

func one(ctx context.Context, u unit, test string) (r Rung, killed bool, err error) {
	r = Rung{Test: test, State: Failed}
	ours, theirs, err := socketPair()
	if err != nil {
		return r, false, err
	}
	defer ours.Close()
	key := make([]byte, 16)
	rand.Read(key)
	nonce := hex.EncodeToString(key)
	if _, err := ours.WriteString(nonce); err != nil {
		theirs.Close()
		return r, false, err
	}
	limit, cancel := context.WithTimeout(ctx, u.Limits.Time+grace)
	defer cancel()
	cmd, err := jailed(limit, u, theirs, "-test.v", "-test.count=1", "-test.timeout="+u.Limits.Time.String(), "-test.run=^"+test+"$")
	if err != nil {
		theirs.Close()
		return r, false, err
	}
	var out head
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, u.Dir
	// Asked first, so that the sandbox removes its group; killed after the delay.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return r, false, fmt.Errorf("run %s: %w", test, err)
	}
	said := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(ours, 64<<10))
		said <- b
		io.Copy(io.Discard, ours) // who floods the descriptor must not hang
	}()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return r, false, ctx.Err()
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return r, false, fmt.Errorf("run %s: %w", test, err)
	}
	var lines []byte
	select {
	case lines = <-said:
	case <-time.After(grace): // somebody kept the descriptor beyond the sandbox's end
	}
	exit := cmd.ProcessState.ExitCode()
	r.State, r.Message = verdict(test, nonce, string(lines), exit, out.String())
	killed = limit.Err() != nil || strings.Contains(out.String(), "panic: test timed out") ||
		exit == 128+int(syscall.SIGKILL) || exit == 128+int(syscall.SIGXCPU) // by its limits of CPU time or of memory
	if killed {
		r.State, r.Message = Failed, fmt.Sprintf("ended by its limits: %v, %d MB", u.Limits.Time, u.Limits.Memory>>20)
	}
	return r, killed, nil
}

var reason = regexp.MustCompile(`machine cannot: .*`)

// verdict believes the descriptor; what was printed only explains.
func verdict(test, nonce, said string, exit int, out string) (State, string) {
	outcome, ended, foreign := "", false, false
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		switch {
		case len(f) != 3 || f[0] != nonce:
			foreign = true
		case f[1] == "-":
			ended = f[2] == "end"
		case f[1] == test && outcome == "":
			outcome = f[2]
		case !strings.HasPrefix(f[1], test+"/"):
			foreign = true
		}
	}
	why := reason.FindString(out)
	switch {
	case foreign:
		return Failed, "something that is no test wrote to the grader's descriptor"
	case exit == 125 && outcome == "" && why != "":
		return Cannot, why // the sandbox's own word: nothing of the submission ran
	case outcome == "pass" && ended && exit == 0:
		return Passed, ""
	case outcome == "skip" && ended && exit == 0 && why != "":
		return Cannot, why
	case outcome == "skip" && ended:
		return Failed, "skipped: " + excerpt(out)
	case outcome == "" || !ended:
		said := fmt.Sprintf("the test process ended (status %d) before its test did", exit)
		if out := excerpt(out); out != "" {
			said += ": " + out
		}
		return Failed, said
	}
	return Failed, excerpt(out)
}

// excerpt is what a person needs of a test's output.
func excerpt(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") || line == "FAIL" || line == "PASS" || line == "" {
			continue
		}
		if lines = append(lines, strings.TrimPrefix(line, "    ")); len(lines) == 8 {
			break
		}
	}
	return strings.Join(lines, "\n")
}

// A head keeps the beginning of an output; the rest is counted as written.
type head struct{ bytes.Buffer }

func (t *head) Write(p []byte) (int, error) {
	if room := 64<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// environment is all that a submission sees of the grader's.
func environment() []string {
	env := []string{"CORACLE_LAB=1", "LANG=C.UTF-8", "HOME=/nonexistent"}
	for _, v := range []string{"PATH", "CORACLE_SANDBOX_MODE", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if s, ok := os.LookupEnv(v); ok {
			env = append(env, v+"="+s)
		}
	}
	return env
}
