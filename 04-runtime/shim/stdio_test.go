package shim

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
	"coracle/04-runtime/crilog"
	"coracle/internal/check"
)

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// Somebody attaches, speaks and leaves; the container with StdinOnce reads to its end.
func TestShim_Attach(t *testing.T) {
	b := newBox(t, "while read line; do echo got $line; done; echo over")
	b.Stdin, b.StdinOnce = true, true
	b.run()
	inR, in := pipe(t)
	out, outW := pipe(t)
	ended := make(chan error, 1)
	go func() {
		ended <- b.Attach(context.Background(), [3]*os.File{inR, outW, outW}, func() { inR.Close(); outW.Close() })
	}()
	fmt.Fprintln(in, "one")
	lines := bufio.NewReader(out)
	line, err := check.Within(t, "speak to the container", "its answer", func() (string, error) { return lines.ReadString('\n') })
	check.NoError(t, "read", err)
	check.Equal(t, "its answer", "got one\n", line)
	in.Close()
	rest, err := check.Within(t, "close its input", "its end", func() (string, error) {
		b, err := io.ReadAll(lines)
		return string(b), err
	})
	check.NoError(t, "read", err)
	check.Equal(t, "what came then", "over\n", rest)
	check.NoError(t, "Attach", <-ended)
	check.Equal(t, "the exit code", 0, b.ends().ExitCode)
	check.Equal(t, "the log", "got one\nover\n", b.output())
}

// Who attaches and does not read makes nobody wait.
func TestShim_FloodWhileSomebodySleeps(t *testing.T) {
	b := newBox(t, "seq 1 300000; echo over >&2")
	b.MaxBytes, b.Keep = 1<<20, 100
	b.create()
	out, outW := pipe(t)
	_, errW := pipe(t)
	attached := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan struct{})
	go func() {
		b.Attach(ctx, [3]*os.File{outW, outW, errW}, func() { outW.Close(); close(attached) })
		close(left)
	}()
	<-attached
	check.NoError(t, "Run", b.Run(t.Context()))
	check.Equal(t, "the exit code", 0, b.ends().ExitCode)
	var text bytes.Buffer
	check.NoError(t, "read the log", crilog.Read(t.Context(), b.Log, crilog.ReadOptions{Tail: -1}, &text, nil))
	var want bytes.Buffer
	for i := range 300000 {
		fmt.Fprintln(&want, i+1)
	}
	check.True(t, "the log, over its rotated files", bytes.Equal(text.Bytes(), want.Bytes()),
		fmt.Sprintf("%d lines", bytes.Count(text.Bytes(), []byte("\n"))), "300000 lines, each once and in order")
	newest, err := os.Stat(crilog.Rotated(b.Log, 1))
	check.NoError(t, "a rotated file", err)
	check.True(t, "its size", newest.Size() <= 1<<20, fmt.Sprint(newest.Size()), "at most 1 MiB")
	out.Close()
	cancel()
	<-left
}

func TestShim_ClosedStreams(t *testing.T) {
	b := newBox(t, "exec <&- >&- 2>&-; while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 6")
	shared := t.TempDir()
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/tmp", Type: "bind", Source: shared, Options: []string{"bind"}})
	check.NoError(t, "make a folder", os.MkdirAll(b.spec.Root.Path+"/tmp", 0o755))
	b.run()
	s, err := b.State(t.Context())
	check.NoError(t, "State", err)
	check.True(t, "the container", !s.Exited, "exited", "running, without streams")
	check.NoError(t, "let it go on", os.WriteFile(filepath.Join(shared, "go"), nil, 0o644))
	check.Equal(t, "the exit code", 6, b.ends().ExitCode)
}

func TestShim_Terminal(t *testing.T) {
	b := newBox(t, "read line; stty size; tty; exit 2")
	b.Terminal, b.Stdin, b.spec.Process.Terminal = true, true, true
	for i, m := range b.spec.Mounts { // gid 5 may not be there
		if m.Type == "devpts" {
			b.spec.Mounts[i].Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
		}
	}
	b.run()
	check.NoError(t, "Resize", b.Resize(t.Context(), 91, 33))
	inR, in := pipe(t)
	out, outW := pipe(t)
	_, errW := pipe(t)
	go b.Attach(context.Background(), [3]*os.File{inR, outW, errW}, func() { inR.Close(); outW.Close() })
	fmt.Fprint(in, "x\r")
	text, err := check.Within(t, "the terminal", "its end", func() (string, error) {
		b, err := io.ReadAll(out)
		return string(b), err
	})
	check.NoError(t, "read", err)
	check.True(t, "what it shows", strings.HasSuffix(text, "33 91\r\n/dev/pts/0\r\n"), text, "its size and its name")
	check.Equal(t, "the exit code", 2, b.ends().ExitCode)
	check.ErrorHas(t, "Resize without a terminal", newRunning(t).Resize(t.Context(), 1, 1), []string{"no terminal"})
}

func newRunning(t testing.TB) *box {
	b := newBox(t, "while :; do sleep 0.05; done")
	b.run()
	return b
}

func process(args ...string) *specs.Process {
	return &specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin:/usr/bin"}}
}

func TestShim_Exec(t *testing.T) {
	b := newRunning(t)
	inR, in := pipe(t)
	out, outW := pipe(t)
	_, errW := pipe(t)
	go func() {
		fmt.Fprint(in, "hello")
		in.Close()
	}()
	code, err := check.Within(t, "Exec", "its end", func() (int, error) {
		return b.Exec(context.Background(), process("sh", "-c", "cat; echo; exit 9"), [3]*os.File{inR, outW, errW}, nil, func() {})
	})
	check.NoError(t, "Exec", err)
	check.Equal(t, "the exit code", 9, code)
	outW.Close()
	text, _ := io.ReadAll(out)
	check.Equal(t, "its output", "hello\n", string(text))
	_, err = b.Exec(t.Context(), process("/no/such"), null(t), nil, func() {})
	check.ErrorHas(t, "Exec of nothing", err, []string{"/no/such"})
	_, err = b.State(t.Context())
	check.NoError(t, "State afterwards", err)
}

func TestShim_ExecWithATerminal(t *testing.T) {
	b := newRunning(t)
	parent, console, err := namespaces.NewConsole()
	check.NoError(t, "NewConsole", err)
	defer parent.Close()
	p := process("sh", "-c", "test -t 0 && echo terminal; exit 5")
	p.Terminal = true
	type result struct {
		code int
		err  error
	}
	ended, text := make(chan result, 1), make(chan string, 1)
	go func() {
		code, err := b.Exec(context.Background(), p, null(t), console, func() {
			console.Close()
			master, err := namespaces.ReceiveConsole(parent)
			if err != nil {
				text <- err.Error()
				return
			}
			go func() {
				defer master.Close()
				b, _ := io.ReadAll(master) // until EIO: nobody has the other side
				text <- string(b)
			}()
		})
		ended <- result{code, err}
	}()
	r, _ := check.Within(t, "Exec", "its end", func() (result, error) { return <-ended, nil })
	check.NoError(t, "Exec", r.err)
	check.Equal(t, "the exit code", 5, r.code)
	check.Equal(t, "its output", "terminal\r\n", <-text)
}

// An exec ends with who asked for it: here by its context, for a killed agent alike.
func TestShim_ExecEndsWithItsCaller(t *testing.T) {
	b := newRunning(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, outW := pipe(t)
	ended, running := make(chan error, 1), make(chan struct{})
	n := null(t)
	go func() {
		_, err := b.Exec(ctx, process("sleep", "100"), [3]*os.File{n[0], outW, outW}, nil, func() { outW.Close(); close(running) })
		ended <- err
	}()
	check.Within(t, "Exec", "a running process", func() (int, error) { <-running; return 0, nil })
	out.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := out.Read(make([]byte, 1))
	check.ErrorIs(t, "read of a process that sleeps", err, os.ErrDeadlineExceeded)
	cancel()
	check.ErrorIs(t, "Exec", <-ended, context.Canceled)
	out.SetReadDeadline(time.Now().Add(check.Deadline))
	_, err = out.Read(make([]byte, 1))
	check.ErrorIs(t, "read, the process having been killed", err, io.EOF)
	check.NoError(t, "Kill", b.Kill(t.Context(), unix.SIGKILL, true))
	b.ends()
}

func TestShim_ReopenLog(t *testing.T) {
	b := newBox(t, "read a; echo one; read b; echo two")
	b.Stdin = true
	b.run()
	inR, in := pipe(t)
	n := null(t)
	go b.Attach(context.Background(), [3]*os.File{inR, n[1], n[2]}, func() { inR.Close() })
	fmt.Fprintln(in)
	b.says("one")
	check.NoError(t, "rename the log", os.Rename(b.Log, b.Log+".old"))
	check.NoError(t, "ReopenLog", b.ReopenLog(t.Context()))
	fmt.Fprintln(in)
	b.ends()
	check.Equal(t, "the new file", "two\n", b.output())
}

// A shim that waits is small.
func TestShim_Memory(t *testing.T) {
	b := newRunning(t)
	s, err := b.State(t.Context())
	check.NoError(t, "State", err)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Shim.PID))
	check.NoError(t, "read its status", err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "Rss") || strings.HasPrefix(line, "Threads") {
			t.Log(line)
		}
	}
}
