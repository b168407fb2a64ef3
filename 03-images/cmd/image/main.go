// Image keeps container images: chapter 3 as a program.
//
//	image pull|push|build|ls|inspect|history|tag|rm|gc|unpack|mount|save|load|registry
//
// Its exit status is 0, 125 for an error of its own, 130 after Ctrl-C; that of the
// command for `image mount NAME DIR -- COMMAND`, where 126 is one that cannot be
// executed and 127 one that is not found. What it says itself goes to stderr, an
// error in one line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	namespaces "coracle/01-namespaces"
)

func main() {
	namespaces.Reexec() // RUN's first process
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	p := &program{}
	err := p.root().ExecuteContext(ctx)
	status := p.status
	if err != nil {
		status = code(err)
		if ctx.Err() != nil {
			status, err = 130, errors.New("interrupted; the store is as it was, and what was downloaded is kept")
		}
		text := strings.TrimPrefix(err.Error(), "image ") // "image: image x: not found" says it twice
		fmt.Fprintln(os.Stderr, "image:", strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; "))
	}
	stop()
	os.Exit(status)
}

// A commandError is the fault of the command that was to run.
type commandError struct{ err error }

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// code is the exit status for an error.
func code(err error) int {
	command := new(commandError)
	switch {
	case !errors.As(err, &command):
		return 125
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return 127
	}
	return 126
}
