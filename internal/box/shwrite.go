package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// open opens a redirection's file; the interpreter prints the error as it is.
func open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	f, err := interp.DefaultOpenHandler()(ctx, path, flag, perm)
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return nil, &os.PathError{Op: "sh:", Path: path, Err: pe.Err}
	}
	return f, err
}

// isFile says whether a builtin writes to a file, such as one of a cgroup, whose
// refusal must be seen. The interpreter's echo ignores it.
func isFile(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode().IsRegular()
}

// echoFile writes its arguments in one write and reports what became of it.
func echoFile(hc interp.HandlerContext, args []string) error {
	if _, err := io.WriteString(hc.Stdout, strings.Join(args, " ")+"\n"); err != nil {
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			err = fmt.Errorf("%s: %w", pe.Path, pe.Err)
		}
		fmt.Fprintln(hc.Stderr, "sh: echo:", err)
		return interp.ExitStatus(1)
	}
	return nil
}

// broken reports a pipe that nobody reads. The interpreter ignores EPIPE, so a
// loop of builtins would write to it for ever. A file of the kernel's can report
// POLLERR too and mean news (cgroup-v2.rst), so only a pipe counts.
func broken(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || f == os.Stdout {
		return false
	}
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	gone := false
	if raw, err := f.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			p := []unix.PollFd{{Fd: int32(fd)}}
			unix.Poll(p, 0)
			gone = p[0].Revents&unix.POLLERR != 0
		})
	}
	return gone
}
