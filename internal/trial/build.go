package trial

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// build compiles the tests, leaving out exercises that do not compile, until
// what was compiled is what is on disk. bin is "" if there is nothing to run.
func build(ctx context.Context, t *workshop.Tree, rep *Report, o Options) (bin string, layer workshop.Layer, err error) {
	start := time.Now()
	defer func() { rep.Build = time.Since(start) }()
	o.Note("building the tests of " + rep.Dir)
	for round := 0; round < 20; round++ {
		mine := slices.Clone(o.Mine)
		for i := range rep.Trials {
			tr := &rep.Trials[i]
			if !open(*tr) {
				continue
			}
			if tr.src, err = os.ReadFile(t.Path(tr.Exercise.File)); err != nil {
				return "", nil, err
			}
			mine = append(mine, tr.Exercise.ID)
		}
		if len(mine) == len(o.Mine) {
			return "", nil, nil
		}
		var borrowed []exercise.Exercise
		if layer, borrowed, err = t.Borrow(mine...); err != nil {
			return "", nil, err
		}
		for _, tr := range rep.Trials { // one that is yours by hash may still not compile with the rest
			if tr.Verdict == Broken {
				layer = layer.With(t.Reference(tr.Exercise))
			}
		}
		rep.Borrowed = upTo(borrowed, o.Exercises[0].Chapter())
		overlay, err := t.Write(layer)
		if err != nil {
			return "", nil, err
		}
		bin = t.Path(fmt.Sprintf(".lab/cache/bin/%s-%.8x.test", strings.ReplaceAll(rep.Dir, "/", "-"), sha256.Sum256([]byte(overlay))))
		prune(filepath.Dir(bin), 20)
		err = gotest.Build(ctx, t.Root, rep.Dir, overlay, bin)
		var failed *gotest.BuildError
		switch {
		case errors.As(err, &failed):
			if c := compileError(t, layer, failed.Output); !rep.blame(c) {
				rep.Compile = c
				return "", nil, nil
			}
		case err != nil:
			return "", nil, err
		case rep.unchanged(t):
			return bin, layer, nil
		}
	}
	return "", nil, fmt.Errorf("the exercises of %s change faster than they compile", rep.Dir)
}

// blame gives a compile error to the exercise that it is in.
func (r *Report) blame(c *CompileError) bool {
	for i := range r.Trials {
		if tr := &r.Trials[i]; open(*tr) && tr.Exercise.ID == c.ID {
			tr.Verdict, tr.Compile = Broken, c
			return true
		}
	}
	return false
}

func (r *Report) unchanged(t *workshop.Tree) bool {
	for _, tr := range r.Trials {
		if open(tr) {
			if now, err := os.ReadFile(t.Path(tr.Exercise.File)); err != nil || !bytes.Equal(now, tr.src) {
				return false
			}
		}
	}
	return true
}

func upTo(es []exercise.Exercise, chapter int) []exercise.Exercise {
	return slices.DeleteFunc(es, func(e exercise.Exercise) bool { return e.Chapter() > chapter })
}

// prune keeps the newest files of a cache folder.
func prune(dir string, keep int) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= keep {
		return
	}
	age := func(e os.DirEntry) time.Time {
		if fi, err := e.Info(); err == nil {
			return fi.ModTime()
		}
		return time.Time{}
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return age(b).Compare(age(a)) })
	for _, e := range entries[keep:] {
		os.Remove(filepath.Join(dir, e.Name()))
	}
}
