package workshop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"coracle/internal/exercise"
)

// Progress is what the tool remembers for the reader besides what is yours.
type Progress struct {
	Start     int                 `json:"start,omitempty"` // the chapter begun with: everything before is borrowed
	Exercises map[string]*Attempt `json:"exercises,omitempty"`
}

// An Attempt is the last run of an exercise's tests and how far its hints went.
type Attempt struct {
	When    time.Time `json:"when"`
	Rungs   string    `json:"rungs,omitempty"`   // one letter each: p passed, f failed, s skipped, - not reached
	Test    string    `json:"test,omitempty"`    // the first that failed
	Message string    `json:"message,omitempty"` // of that one
	Hint    int       `json:"hint,omitempty"`    // the last one shown …
	HintFor string    `json:"hintFor,omitempty"` // … and for which test
}

const progressFile = ".lab/progress.json"

// Progress reads what is remembered. A damaged file is as good as none: nothing
// in it cannot be had again.
func (t *Tree) Progress() *Progress {
	p := &Progress{}
	if data, err := os.ReadFile(t.Path(progressFile)); err != nil || json.Unmarshal(data, p) != nil {
		p = &Progress{}
	}
	if p.Exercises == nil {
		p.Exercises = map[string]*Attempt{}
	}
	return p
}

// Attempt returns what is remembered of an exercise, never nil.
func (p *Progress) Attempt(id string) *Attempt {
	if p.Exercises[id] == nil {
		p.Exercises[id] = &Attempt{}
	}
	return p.Exercises[id]
}

// UpdateProgress changes what is remembered, one process at a time.
func (t *Tree) UpdateProgress(change func(*Progress)) error {
	return t.locked(func() error {
		p := t.Progress()
		change(p)
		data, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(t.Path(progressFile), append(data, '\n'))
	})
}

// notes words an error of writing: a checkout is to be the reader's own.
func notes(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("this checkout cannot be written to, so clone one of your own: %w", err)
	}
	return err
}

// locked keeps two labs, a watch and a test, from losing each other's notes.
func (t *Tree) locked(f func() error) error {
	if err := os.MkdirAll(t.Path(".lab"), 0o755); err != nil {
		return notes(err)
	}
	lock, err := os.OpenFile(t.Path(".lab/lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return notes(err)
	}
	defer lock.Close()
	// A file system without locks is no reason to refuse.
	_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	return f()
}

// Next returns the exercise to work on: the first from the chapter begun with
// that is not yours, of those in progress the one tried last. ok is false when
// everything is yours.
func (t *Tree) Next() (next exercise.Exercise, ok bool, err error) {
	p := t.Progress()
	var tried time.Time
	for _, e := range exercise.All() {
		if e.Chapter() < p.Start {
			continue
		}
		s, err := t.State(e)
		if err != nil && s != Unwritten {
			return next, false, err
		}
		when := p.Attempt(e.ID).When
		switch {
		case s == Yours:
		case !ok:
			next, ok = e, true
			if s != Unwritten {
				tried = when
			}
		case s != Unwritten && when.After(tried):
			next, tried = e, when
		}
	}
	return next, ok, nil
}
