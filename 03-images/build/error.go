package build

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// An Error is what is wrong with a Dockerfile, or went wrong on a line of it.
type Error struct {
	File string
	Line int
	Err  error
}

// Error is one line: what BuildKit's parser or errors.Join says in several becomes one.
func (e *Error) Error() string {
	text := e.Err.Error()
	if strings.ContainsAny(text, "\n\r") {
		text = strings.Join(strings.Fields(text), " ")
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, text)
}

func (e *Error) Unwrap() error { return e.Err }

// at says on which line something went wrong, unless err says so itself.
func (f *Dockerfile) at(line int, err error) error {
	var is *Error
	if err == nil || errors.As(err, &is) {
		return err
	}
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		line = located.Locations[0][0].Start.Line
	}
	return &Error{f.name, max(line, 1), err}
}
