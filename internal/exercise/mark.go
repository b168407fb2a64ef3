package exercise

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// A Mark is the value of a stub's `var _ = todo("1.1")`.
type Mark struct{ ID string }

// marked is filled while package variables are initialised and only read later.
var marked = map[string]bool{}

// Todo marks an exercise as unwritten in this binary. A chapter's package wraps
// it in an unexported todo, so that deleting the marked line of a stub leaves no
// unused import behind.
func Todo(id string) Mark {
	marked[id] = true
	return Mark{id}
}

// Written says whether no stub in this binary bears the mark of id.
func Written(id string) bool { return !marked[id] }

// ErrUnwritten is what every UnwrittenError is, for errors.Is.
var ErrUnwritten = errors.New("not written yet")

// An UnwrittenError is returned by the body of a stub.
type UnwrittenError struct {
	ID   string // the exercise
	Func string // what is to be written: "CloneFlags", "(*Group).Freeze"
}

// Unwritten returns the error of a stub's body. It names the function that
// called it, which is the one to write.
func Unwritten(id string) error {
	name := "this function"
	if pc, _, _, ok := runtime.Caller(1); ok {
		name = runtime.FuncForPC(pc).Name()
		name = name[strings.LastIndexByte(name, '/')+1:]
		_, name, _ = strings.Cut(name, ".")
	}
	return &UnwrittenError{ID: id, Func: name}
}

func (e *UnwrittenError) Error() string {
	row, _ := Find(e.ID)
	return fmt.Sprintf("%s is not written yet: exercise %s, %s; borrow it with ./lab run or ./lab test %s",
		e.Func, e.ID, row.File, e.ID)
}

// Is makes errors.Is(err, ErrUnwritten) true.
func (e *UnwrittenError) Is(target error) bool { return target == ErrUnwritten }
