//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const good = `package namespaces

import "errors"

func Greet(name string) (string, error) {
	if name == "" {
		return "", errors.New("nobody")
	}
	return "hello, " + name, nil
}
`

// watched starts lab watch on a copy of the small workshop.
func watched(t *testing.T, out *os.File, args ...string) (root string, cmd *exec.Cmd) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "workshop")
	require.NoError(t, os.CopyFS(root, os.DirFS(fixture.dir)))
	cmd = exec.Command(fixture.lab, append([]string{"watch"}, args...)...)
	cmd.Env = append(os.Environ(), rootVar+"="+root, "TERM=xterm", "NO_COLOR=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = out, out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return root, cmd
}

func TestWatch_PlainPrintsLines(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	root, cmd := watched(t, w, "--plain")
	w.Close()
	lines := bufio.NewScanner(r)
	until := func(text string) {
		t.Helper()
		r.SetReadDeadline(time.Now().Add(20 * time.Second))
		for lines.Scan() {
			assert.NotContains(t, lines.Text(), "\x1b")
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("no line holds %q: %v", text, lines.Err())
	}
	until("delete its mark, save")
	saved := time.Now()
	require.NoError(t, os.WriteFile(root+"/01-namespaces/greet.go", []byte(good), 0o644))
	until("testing 1.0")
	assert.Less(t, time.Since(saved), time.Second, "from a save to its test")
	until("1.0 is yours now")
	until("1.0 passed")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	assert.NoError(t, cmd.Wait(), "Ctrl-C is how it ends")
}

// TestWatch_KeepsSuccess: on a terminal nothing scrolls, and what turned green
// stays above a later failure and is printed at the end.
func TestWatch_KeepsSuccess(t *testing.T) {
	term, tty := openTerminal(t, 80, 12)
	root, cmd := watched(t, tty)
	tty.Close()
	var mu sync.Mutex
	var text strings.Builder
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := term.Read(buf)
			mu.Lock()
			text.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	frame := func() string { // what the terminal shows
		mu.Lock()
		defer mu.Unlock()
		frames := strings.Split(text.String(), "\x1b[H")
		return frames[len(frames)-1]
	}
	shows := func(what ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			for _, w := range what {
				if !strings.Contains(frame(), w) {
					return false
				}
			}
			return true
		}, 20*time.Second, 5*time.Millisecond, "the screen shows %q", what)
	}
	shows("delete its mark")
	require.NoError(t, os.WriteFile(root+"/01-namespaces/greet.go", []byte(good), 0o644))
	shows("1.0 passed", "✓ 1.0 a greeting is yours")
	require.NoError(t, os.WriteFile(root+"/01-namespaces/greet.go", []byte(strings.Replace(good, "hello", "hallo", 1)), 0o644))
	shows("1.0 failed", "✓ 1.0 a greeting is yours", "the rest")
	assert.LessOrEqual(t, strings.Count(frame(), "\n"), 11, "a frame is no higher than the terminal")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait())
	shows("\x1b[?1049l✓ 1.0 a greeting is yours")
}

// openTerminal makes a pseudo-terminal (pty(7)).
func openTerminal(t *testing.T, cols, rows uint16) (term, tty *os.File) {
	t.Helper()
	term, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { term.Close() })
	fd := int(term.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}))
	tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return term, tty
}
