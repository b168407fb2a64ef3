package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"coracle/internal/base"
	"coracle/internal/exercise"
	"coracle/internal/trial"
	"coracle/internal/workshop"
)

func runCmd() *cobra.Command {
	var mine []string
	cmd := &cobra.Command{
		Use:   "run [--mine N.M] N PROGRAM [ARG...]",
		Short: "Run a chapter's program, what you have not written borrowed",
		Long: `Builds a program of chapter N (its folder cmd/), with the reference for every
exercise that is not yours, and becomes it: signals, the terminal and the exit
status are the program's own. Flags after PROGRAM belong to the program.`,
		Example: `  ./lab run 1 isolate -- sh
  ./lab run --mine 1.3 1 isolate -- sh    with your 1.3 although it is not green yet`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			c, name, err := program(t, args)
			if err != nil {
				return err
			}
			for _, id := range mine {
				if _, err := one(id); err != nil {
					return err
				}
			}
			bin, err := buildProgram(cmd.Context(), t, c, name, mine)
			if err != nil {
				return err
			}
			env := programEnv(cmd.Context(), t)
			return fmt.Errorf("execute %s: %w", bin, syscall.Exec(bin, append([]string{name}, args[2:]...), env))
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringSliceVar(&mine, "mine", nil, "take these exercises from you, green or not")
	return cmd
}

// program finds the chapter and the program that the arguments begin with.
func program(t *workshop.Tree, args []string) (c exercise.Chapter, name string, err error) {
	if c, err = chapter(args[0]); err != nil {
		return c, "", err
	}
	have := programs(t, c)
	switch {
	case len(have) == 0:
		return c, "", usage("chapter %d has no programs yet", c.N)
	case len(args) < 2:
		return c, "", usage("which program? Chapter %d has: %s", c.N, strings.Join(have, ", "))
	case !slices.Contains(have, args[1]):
		return c, "", usage("no program %q. Chapter %d has: %s", args[1], c.N, strings.Join(have, ", "))
	}
	return c, args[1], nil
}

// programs lists the folders below the chapter's cmd.
func programs(t *workshop.Tree, c exercise.Chapter) (names []string) {
	entries, _ := os.ReadDir(t.Path(c.Dir + "/cmd"))
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// buildProgram compiles a chapter's program and says on stderr what is borrowed.
func buildProgram(ctx context.Context, t *workshop.Tree, c exercise.Chapter, name string, mine []string) (string, error) {
	layer, borrowed, err := t.Borrow(mine...)
	if err != nil {
		return "", err
	}
	overlay, err := t.Write(layer)
	if err != nil {
		return "", err
	}
	bin := t.Path(".lab/cache/bin/" + name)
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", err
	}
	args := []string{"build", "-buildvcs=false", "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./"+c.Dir+"/cmd/"+name)...)
	build.Dir = t.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	note, clear := notes()
	note("building " + name)
	out, err := build.CombinedOutput()
	clear()
	var status *exec.ExitError
	if errors.As(err, &status) && len(out) > 0 {
		return "", errors.New(trial.Explain(t, layer, string(out)))
	}
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	borrowed = slices.DeleteFunc(borrowed, func(e exercise.Exercise) bool { return e.Chapter() > c.N })
	if len(borrowed) > 0 {
		fmt.Fprintf(os.Stderr, "lab: borrowed from the reference: %s\n", trial.Borrowing(borrowed))
	}
	return bin, nil
}

// programEnv is the environment of a chapter's program: with the base root file
// system, which is built when it is missing.
func programEnv(ctx context.Context, t *workshop.Tree) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, rootVar+"=") })
	note, clear := notes()
	note("making the base root file system")
	root, err := base.Ensure(ctx, t.Root)
	clear()
	if err != nil { // only some programs need it, and these say so
		fmt.Fprintln(os.Stderr, "lab: no base root file system:", err)
		return env
	}
	return append(env, "CORACLE_BASE="+root)
}
