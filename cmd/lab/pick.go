package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"coracle/internal/exercise"
)

// one returns the exercise of an argument such as "1.2", or of its file.
func one(arg string) (exercise.Exercise, error) {
	// "1.2d" is a rung of 1.2, and rungs are climbed in order.
	if e, ok := exercise.Find(strings.TrimRight(arg, "abcdefghij")); ok {
		return e, nil
	}
	if strings.HasSuffix(arg, ".go") {
		abs, _ := filepath.Abs(arg)
		for _, e := range exercise.All() {
			if strings.HasSuffix(filepath.ToSlash(abs), "/"+e.File) {
				return e, nil
			}
		}
		return exercise.Exercise{}, usage("%s is no exercise's file; ./lab status lists them", arg)
	}
	n, _, _ := strings.Cut(arg, ".")
	if c, err := strconv.Atoi(n); err == nil {
		if of := exercise.Of(c); len(of) > 0 {
			return exercise.Exercise{}, usage("no exercise %s: chapter %d has %s to %s", arg, c, of[0].ID, of[len(of)-1].ID)
		}
	}
	return exercise.Exercise{}, usage("no exercise %q: write chapter and place, as in 1.2; ./lab status lists them", arg)
}

// chapter returns the chapter of an argument such as "1".
func chapter(arg string) (exercise.Chapter, error) {
	n, err := strconv.Atoi(arg)
	for _, c := range exercise.Chapters() {
		if err == nil && c.N == n {
			return c, nil
		}
	}
	last := exercise.Chapters()[len(exercise.Chapters())-1].N
	return exercise.Chapter{}, usage("no chapter %q: there are 1 to %d", arg, last)
}

// some returns the exercises of no argument (all), "1" or "1.2".
func some(args []string) ([]exercise.Exercise, error) {
	switch {
	case len(args) == 0:
		return exercise.All(), nil
	case strings.Contains(args[0], "."):
		e, err := one(args[0])
		return []exercise.Exercise{e}, err
	}
	c, err := chapter(args[0])
	if err != nil {
		return nil, err
	}
	if of := exercise.Of(c.N); len(of) > 0 {
		return of, nil
	}
	return nil, usage("chapter %d has no exercises yet", c.N)
}

// byFolder splits exercises into the packages they are in, in order.
func byFolder(es []exercise.Exercise) (groups [][]exercise.Exercise) {
	index := map[string]int{}
	for _, e := range es {
		i, ok := index[e.Dir()]
		if !ok {
			i = len(groups)
			index[e.Dir()] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], e)
	}
	return groups
}

// completeIDs offers exercises, and chapters where they are taken.
func completeIDs(chapters bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (ids []string, d cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, c := range exercise.Chapters() {
			if chapters {
				ids = append(ids, fmt.Sprintf("%d\t%s", c.N, c.Title))
			}
			for _, e := range exercise.Of(c.N) {
				ids = append(ids, e.ID+"\t"+e.Title)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// exactly is cobra.ExactArgs with a message that shows what is missing.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("usage: %s", cmd.UseLine())
		}
		return nil
	}
}
