package doctor

import (
	"context"
	"fmt"
	"slices"
)

// Level is how a check ended.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Check is one line of the report.
type Check struct {
	Name  string
	Level Level
	Says  string
	Fix   string // what to do about it; empty for OK
	Stops []int  // chapters that cannot be done because of it …
	Even  bool   // … not even in the virtual machine
	Parts []int  // chapters of which only a part can be done
}

// Options tell the doctor where it is.
type Options struct {
	Root  string   // the checkout
	Cache string   // where the tool keeps what it builds
	Probe []string // a command that runs Probe in the process it becomes
	VM    []Check  // what the virtual machine needs; no check fails: it can stand in for this machine
}

// Run makes every check, in the order of a person's questions.
func Run(ctx context.Context, o Options) []Check {
	checks := machine(ctx, o)
	checks = append(checks, files(o)...)
	checks = append(checks, tools()...)
	return append(checks, o.VM...)
}

// Impossible returns the chapters that cannot be done here, not even in the
// virtual machine.
func Impossible(checks []Check, vm bool) (chapters []int) {
	for _, c := range checks {
		if c.Level == Fail && (c.Even || !vm) {
			chapters = append(chapters, c.Stops...)
		}
	}
	slices.Sort(chapters)
	return slices.Compact(chapters)
}

// Partly returns the chapters of which only a part can be done here.
func Partly(checks []Check) (chapters []int) {
	for _, c := range checks {
		chapters = append(chapters, c.Parts...)
	}
	return chapters
}

func ok(name, format string, a ...any) Check {
	return Check{Name: name, Level: OK, Says: fmt.Sprintf(format, a...)}
}

func warn(name, fix, format string, a ...any) Check {
	return Check{Name: name, Level: Warn, Says: fmt.Sprintf(format, a...), Fix: fix}
}

func fail(name, fix string, stops []int, format string, a ...any) Check {
	return Check{Name: name, Level: Fail, Says: fmt.Sprintf(format, a...), Fix: fix, Stops: stops}
}
