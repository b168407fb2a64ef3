package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// explain says why the port went silent before the work was done.
func (m *machine) explain(err error) error {
	cause := context.Cause(m.ctx)
	var exit error
	if cause == nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("virtual machine: %w", err)
		}
		exit = <-m.ended
		m.ended <- exit
	}
	what := "ended before its work was done"
	switch {
	case errors.Is(cause, errBootTimeout):
		what = "did not boot in time"
	case cause != nil: // the caller's wish or deadline: the console explains nothing
		return fmt.Errorf("virtual machine stopped: %w", cause)
	case exit != nil:
		what = fmt.Sprintf("failed: QEMU: %v: %s", exit, m.stderr.last(1))
	}
	if lines := m.console.last(12); lines != "" {
		return fmt.Errorf("the virtual machine %s; its console ended with:\n%s", what, lines)
	}
	return fmt.Errorf("the virtual machine %s; its console is empty: does this kernel have a serial console?", what)
}

// tail keeps the end of a stream.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf = append(t.buf, p...); len(t.buf) > 32<<10 {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-16<<10:]...)
	}
	return len(p), nil
}

// last returns at most n lines, without the codes that the firmware clears the screen with.
func (t *tail) last(n int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, string(t.buf))
	lines := strings.Split(strings.TrimSpace(clean), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "Kernel panic") }); i >= 0 {
		lines = lines[:i+1] // what follows are registers
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
