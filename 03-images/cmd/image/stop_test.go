package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// interrupted starts image, waits until begun says so, and sends it SIGINT.
func interrupted(t *testing.T, cmd *exec.Cmd, begun func()) string {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check.NoError(t, "start image", cmd.Start())
	begun()
	cmd.Process.Signal(unix.SIGINT)
	check.Within(t, "SIGINT", "image to end", func() (int, error) { return 0, cmd.Wait() })
	check.Equal(t, "the exit status ("+strings.TrimSpace(errs.String())+")", 130, cmd.ProcessState.ExitCode())
	return errs.String()
}

// Whatever image waits for when Ctrl-C comes, it ends at once, says so in one line,
// and the store is as it was.
func TestImage_Interrupt(t *testing.T) {
	need(t)
	u, to := newUser(t), newUser(t)
	digest := u.builds("demo:1")
	archive := []byte(u.does("save", "demo:1"))
	before := left(t)

	// A pipe whose writer has stopped in the middle.
	cmd := to.command("load")
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	check.NoError(t, "make a pipe", err)
	says := interrupted(t, cmd, func() { in.Write(archive[:len(archive)/2]); opened(t, cmd, to.store+"/ingest") })
	check.True(t, "what load says", strings.HasPrefix(says, "image: interrupted") && strings.Count(says, "\n") == 1, says, "one line")

	// A registry that does not answer.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, "listen", err)
	defer l.Close()
	says = interrupted(t, to.command("pull", l.Addr().String()+"/demo:1"), func() {
		c, err := l.Accept()
		check.NoError(t, "accept", err)
		t.Cleanup(func() { c.Close() })
		io.ReadFull(c, make([]byte, 5))
	})
	check.True(t, "what pull says", strings.HasPrefix(says, "image: interrupted") && strings.Count(says, "\n") == 1, says, "one line")

	check.Equal(t, "names in the store", "NAME  ID  PLATFORM  SIZE  CREATED\n", to.does("ls"))
	check.True(t, "gc", strings.HasSuffix(to.does("gc", "--all"), "\n"), "", "a line")
	to.stdin = archive
	check.Equal(t, "the next load", "demo:1 "+digest+"\n", to.does("load"))
	check.Equal(t, "what is left", before, left(t))
}

// opened waits until a process has a file of this folder open.
func opened(t *testing.T, cmd *exec.Cmd, dir string) {
	t.Helper()
	fds := fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid)
	check.Eventually(t, "load from a pipe", "the archive to be written to the store", func() bool {
		entries, _ := os.ReadDir(fds)
		for _, e := range entries {
			to, _ := os.Readlink(fds + "/" + e.Name())
			if strings.HasPrefix(to, dir) {
				return true
			}
		}
		return false
	})
}

// RUN is ended with its whole group; what it did is thrown away.
func TestImage_InterruptedBuild(t *testing.T) {
	need(t, baseRoot)
	u := newUser(t)
	base := folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"})
	u.does("build", "-t", "localhost/base", "-f", base+"/Dockerfile", "@base")
	before := left(t)
	dir := folderOf(t, map[string]string{"Dockerfile": "FROM localhost/base\nRUN echo begun; sleep 1000\n"})
	cmd := u.command("build", "--network", "none", dir)
	out, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = nil, w
	check.NoError(t, "start image build", cmd.Start())
	w.Close()
	said := ""
	check.Within(t, "build", "RUN to begin", func() (int, error) {
		buf := make([]byte, 1024)
		for !strings.Contains(said, "\nbegun") {
			n, err := out.Read(buf)
			if err != nil {
				return 0, err
			}
			said += string(buf[:n])
		}
		return 0, nil
	})
	cmd.Process.Signal(unix.SIGINT)
	rest, _ := check.Within(t, "SIGINT", "image to end", func() ([]byte, error) { return io.ReadAll(out) })
	cmd.Wait()
	check.Equal(t, "the exit status ("+said+string(rest)+")", 130, cmd.ProcessState.ExitCode())
	check.Equal(t, "what is left", before, left(t))
	entries, err := os.ReadDir(u.store + "/active")
	check.NoError(t, "list the snapshots", err)
	for _, e := range entries {
		check.True(t, "snapshots", !strings.HasPrefix(e.Name(), "tmp-"), e.Name(), "none")
	}
}
