package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"coracle/internal/workshop"
)

// groups are the verbs in the order in which help lists them; one file each.
var groups = []struct {
	title string
	verbs []func() *cobra.Command
}{
	{"Write:", []func() *cobra.Command{nextCmd, statusCmd, testCmd, watchCmd, hintCmd, diffCmd, solveCmd, resetCmd, startCmd}},
	{"Run and keep:", []func() *cobra.Command{runCmd, baseCmd, saveCmd, updateCmd}},
	{"This machine:", []func() *cobra.Command{doctorCmd, vmCmd, cleanupCmd}},
	{"All of it:", []func() *cobra.Command{verifyCmd, gradeCmd}},
	{"", []func() *cobra.Command{devCmd}},
}

// An exit is an error with an exit status of its own. Without one, an error of
// flags and arguments is 2 and every other 125.
type exit struct {
	code int
	err  error // nil: everything is said already
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// What a script can tell by the exit status.
const (
	exitFailed  = 1   // tests fail, or something is not right
	exitUsage   = 2   // the command line
	exitTrouble = 125 // lab itself could not do it
	exitSignal  = 130 // Ctrl-C
)

// failed ends the command with status 1; the reasons are printed already.
func failed() error { return &exit{code: exitFailed} }

// usage is an error of the command line.
func usage(format string, a ...any) error { return &exit{exitUsage, fmt.Errorf(format, a...)} }

// run is main without the process, for tests.
func run(args []string) int {
	root := rootCmd()
	root.SetArgs(args)
	running := false
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	e := new(exit)
	switch {
	case errors.As(err, &e):
	case ctx.Err() != nil:
		e = &exit{exitSignal, errors.New("interrupted")}
	case running:
		e = &exit{exitTrouble, err}
	default: // cobra refused the command line
		e = &exit{exitUsage, refused(err)}
	}
	if e.err != nil { // one line
		fmt.Fprintln(os.Stderr, "lab:", strings.Join(strings.Fields(e.err.Error()), " "))
	}
	return e.code
}

// refused words cobra's errors in one line; it lists suggestions on lines of their own.
func refused(err error) error {
	what, like, _ := strings.Cut(strings.Replace(err.Error(), ` for "./lab"`, "", 1), "Did you mean this?")
	if names := strings.Fields(like); len(names) > 0 {
		return fmt.Errorf("%s: did you mean %s? See ./lab help", strings.TrimSpace(what), strings.Join(names, " or "))
	}
	return fmt.Errorf("%s; see ./lab help", what)
}

func rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "lab",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "./lab"},
		Short:         "The workshop's own tool: where you are, tests, hints, and a chapter's programs",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cobra.EnableCommandSorting = false
	for _, g := range groups {
		if g.title != "" {
			root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		}
		for _, verb := range g.verbs {
			cmd := verb()
			cmd.DisableFlagsInUseLine, cmd.GroupID = true, g.title
			root.AddCommand(cmd)
		}
	}
	return root
}

// rootVar is set by the script ./lab, so that it works from any folder.
const rootVar = "CORACLE_ROOT"

// tree is the checkout of the script that was called, or the one around the
// working directory.
func tree() (*workshop.Tree, error) {
	if root := os.Getenv(rootVar); root != "" {
		return workshop.Find(root)
	}
	return workshop.Find(".")
}
