package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"coracle/internal/gotest"
)

// firstRed is how soon a stub without its mark must fail.
const firstRed = 10 * time.Second

// machineCannot begins every skip that is the machine's fault: sandbox.Cannot,
// said again here so that this package builds where the sandbox does not.
const machineCannot = "machine cannot: "

var (
	stillUnwritten = regexp.MustCompile(`exercise ([0-9.]+) \(.*\) is not written yet: open`) // exercise.Need's skip
	message        = regexp.MustCompile(`(?m)^\s*[\w.-]+\.go:\d+: (.*)$`)
	testifys       = regexp.MustCompile(`(?m)^\s*Error:\s+(.*)$`) // where testify's own assertions put it
	cannot         = regexp.MustCompile(regexp.QuoteMeta(machineCannot) + `(.*)`)
)

// tally sorts the tests of a run.
type tally struct {
	passed, failed []gotest.Test
	cannot         []skipped
	unwritten      []string // "TestX (1.2)"
	otherSkips     []skipped
	hung           bool // ended by the binary's own time-out
	lost           []string
}

func sortTests(res *gotest.Result) (t tally) {
	t.hung = strings.Contains(res.Rest, "panic: test timed out")
	for _, test := range res.Tests {
		t.hung = t.hung || strings.Contains(test.Output, "panic: test timed out")
		switch test.Outcome {
		case gotest.Pass:
			t.passed = append(t.passed, test)
		case gotest.Fail:
			t.failed = append(t.failed, test)
		case gotest.Skip:
			if m := stillUnwritten.FindStringSubmatch(test.Output); m != nil {
				t.unwritten = append(t.unwritten, fmt.Sprintf("%s (%s)", test.Name, m[1]))
			} else if m := cannot.FindStringSubmatch(test.Output); m != nil {
				t.cannot = append(t.cannot, skipped{test.Name, machineCannot + m[1]})
			} else {
				t.otherSkips = append(t.otherSkips, skipped{test.Name, firstMessage(test.Output)})
			}
		default:
			t.failed = append(t.failed, test)
			t.lost = append(t.lost, test.Name)
		}
	}
	return t
}

// firstMessage is what a reader sees first of a test.
func firstMessage(output string) string {
	if m := message.FindStringSubmatch(output); m != nil && strings.TrimSpace(m[1]) != "" {
		return m[1]
	}
	if m := testifys.FindStringSubmatch(output); m != nil {
		return m[1]
	}
	first, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	return first
}

func names(tests []gotest.Test) string {
	var ns []string
	for _, t := range tests {
		ns = append(ns, t.Name)
	}
	return strings.Join(ns, ", ")
}

// brief keeps compiler output to its first lines.
func brief(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })
	if len(lines) > 3 {
		lines = append(lines[:3], "…")
	}
	return strings.Join(lines, " | ")
}

// judgePass wants every test to pass; what else may happen is said by the flags.
func judgePass(what string, skipsAllowed bool, do string) func(outcome) verdict {
	return func(o outcome) (v verdict) {
		if o.Build != "" {
			return verdict{fail: what + " does not compile: " + brief(o.Build), do: do, unexpected: true}
		}
		t := sortTests(o.Run)
		v.passed = len(t.passed)
		v.skips = append(t.cannot, t.otherSkips...)
		switch {
		case t.hung:
			v.fail = fmt.Sprintf("%s: %s hung until the binary's time-out", what, strings.Join(t.lost, ", "))
		case len(t.failed) > 0:
			v.fail = fmt.Sprintf("%s: %s failed: %s", what, names(t.failed), firstMessage(t.failed[0].Output+o.Run.Rest))
		case len(t.unwritten) > 0 && !skipsAllowed:
			v.fail = fmt.Sprintf("%s: %s skipped as unwritten", what, strings.Join(t.unwritten, ", "))
		case o.Run.Exit != 0:
			v.fail = fmt.Sprintf("%s: no test failed, yet exit status %d: %s", what, o.Run.Exit, brief(o.Run.Rest))
		}
		if skipsAllowed {
			v.passed += len(t.unwritten)
		}
		if v.fail != "" {
			v.do, v.unexpected = do, true
		}
		return v
	}
}

// judgeMark wants a clear first red from a stub that only lost its mark.
func judgeMark(id string, funcs []string) func(outcome) verdict {
	return func(o outcome) verdict {
		bad := func(do, what string, args ...any) verdict {
			return verdict{fail: fmt.Sprintf(what, args...), do: do, unexpected: true}
		}
		if o.Build != "" {
			return bad("the stub must compile without its mark line", "%s without its mark does not compile: %s", id, brief(o.Build))
		}
		t := sortTests(o.Run)
		const giveBack = "let its bodies return exercise.Unwritten"
		switch {
		case t.hung:
			return bad(giveBack, "%s without its mark hangs in %s", id, strings.Join(t.lost, ", "))
		case len(t.failed) == 0 && len(t.cannot) > 0:
			return verdict{skips: []skipped{{"mark of " + id, t.cannot[0].why}}}
		case len(t.failed) == 0:
			return bad("a test of it must fail", "%s with nothing written passes all its tests", id)
		case len(t.lost) > 0:
			return bad(giveBack, "%s without its mark ends the test process in %s: %s", id, strings.Join(t.lost, ", "), brief(o.Run.Rest))
		case strings.Contains(t.failed[0].Output+o.Run.Rest, "panic:"):
			return bad(giveBack, "%s without its mark panics in %s", id, t.failed[0].Name)
		case len(t.passed) > 0:
			return bad("make it fail while nothing is written", "%s with nothing written already passes %s", id, names(t.passed))
		case o.Run.Elapsed > firstRed:
			return bad("fail at once, or within check.Deadline", "%s without its mark takes %.0f s to fail", id, o.Run.Elapsed.Seconds())
		}
		first := firstMessage(t.failed[0].Output)
		for _, f := range funcs {
			if strings.Contains(first, f) {
				return verdict{passed: 1}
			}
		}
		if strings.Contains(first, "is not written yet: exercise "+id+",") {
			return verdict{passed: 1}
		}
		return bad("its first line must name the first thing to write", "%s without its mark fails with %q, which names none of %s", id, first, strings.Join(funcs, ", "))
	}
}

// judgeMistake wants it refused with its phrase and no other's.
func judgeMistake(name, phrase string, others []string, seen func(fails []string, partly bool)) func(outcome) verdict {
	return func(o outcome) verdict {
		bad := func(do, what string, args ...any) verdict {
			return verdict{fail: fmt.Sprintf(what, args...), do: do, unexpected: true}
		}
		if o.Build != "" {
			return bad("a mistake compiles", "%s does not compile: %s", name, brief(o.Build))
		}
		t := sortTests(o.Run)
		say := fmt.Sprintf("add check.Often(…, %q) to the test that it fails", phrase)
		var printed strings.Builder
		var fails []string
		for _, f := range t.failed {
			printed.WriteString(f.Output)
			fails = append(fails, f.Name)
		}
		text := printed.String()
		has := phrase != "" && strings.Contains(text, phrase)
		switch {
		case t.hung:
			return bad("give the test its own deadline (check.Within)", "%s hangs until the binary's time-out in %s", name, strings.Join(t.lost, ", "))
		case len(t.failed) == 0 && len(t.unwritten) > 0:
			return bad("no mark in a mistake or in the reference", "%s is skipped as unwritten: %s", name, strings.Join(t.unwritten, ", "))
		case !has && len(t.cannot) > 0:
			return verdict{skips: []skipped{{"mistake " + name, t.cannot[0].why}}}
		case len(t.failed) == 0:
			return bad(say, "%s survives: %s passed", name, names(t.passed))
		case !has:
			return bad(say, "%s fails %s without its phrase: %s", name, fails[0], firstMessage(t.failed[0].Output+o.Run.Rest))
		}
		for _, other := range others {
			if !strings.Contains(phrase, other) && strings.Contains(text, other) {
				return bad("narrow the condition of that check.Often", "%s is also taken for %q", name, other)
			}
		}
		seen(fails, len(t.cannot) > 0)
		return verdict{passed: 1}
	}
}
