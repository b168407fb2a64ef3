package box_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a person at a prompt: what they type and what they see.
type terminal struct {
	t    *testing.T
	ptmx *os.File
	cmd  *exec.Cmd
	seen []byte
}

// openShell starts sh as leader of a session on a new pseudoterminal (pty(7)).
func openShell(t *testing.T, attr syscall.SysProcAttr) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	ptmx := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { ptmx.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer tty.Close()
	attr.Setsid, attr.Setctty = true, true
	cmd := exec.Command("sh")
	cmd.Env = append(os.Environ(), "PS1=> ")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = tty, tty, tty, &attr
	if err := cmd.Start(); attr.Cloneflags != 0 && err != nil {
		t.Skipf("a user namespace is needed here: %v (sysctl -w kernel.unprivileged_userns_clone=1, see ./lab doctor)", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &terminal{t: t, ptmx: ptmx, cmd: cmd}
}

// see waits until the text appears and takes all up to its end off the screen.
func (x *terminal) see(want string) string {
	x.t.Helper()
	x.ptmx.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(x.seen, []byte(want)); i >= 0 {
			got := string(x.seen[:i+len(want)])
			x.seen = x.seen[i+len(want):]
			return got
		}
		n, err := x.ptmx.Read(buf)
		if x.seen = append(x.seen, buf[:n]...); err != nil {
			require.FailNow(x.t, "not seen on the terminal", "waited for %q\ngot %q (%v)", want, x.seen, err)
		}
	}
}

// run types a line at the prompt and returns what it printed.
func (x *terminal) run(line string) string {
	x.t.Helper()
	x.see("> ")
	x.press(line + "\r")
	x.see(line)
	out := x.see("\n> ")
	x.seen = append([]byte("> "), x.seen...)
	return strings.TrimSpace(strings.ReplaceAll(strings.TrimSuffix(out, "> "), "\r", ""))
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	_, err := x.ptmx.WriteString(keys)
	require.NoError(x.t, err)
}

// interrupt runs a line, waits until it says "up" and presses ^C.
func (x *terminal) interrupt(line string) {
	x.t.Helper()
	x.see("> ")
	x.press(line + "\r")
	x.see(line)
	x.see("up")
	x.press("\x03")
	x.see("> ")
	x.seen = append([]byte("> "), x.seen...)
}

func TestShell_InterruptReachesTheForegroundOnly(t *testing.T) {
	x := openShell(t, syscall.SysProcAttr{})
	pid := x.run("echo $$")
	x.see("> ")
	x.press("never run this\x03")
	x.see("^C")
	x.interrupt("sh -c 'echo u''p; sleep 60'")
	assert.Equal(t, "130", x.run("echo $?"))
	x.interrupt("echo u''p; while true; do :; done")
	assert.Equal(t, "130", x.run("echo $?"), "a loop of builtins ends too")
	x.run("sleep 61 &")
	x.interrupt("sh -c 'echo u''p; sleep 60' | cat")
	assert.Equal(t, "alive", x.run("ps -o ppid,args | grep -q \"^ *$$ sleep 61\" && echo alive"), "the background is left alone")
	x.interrupt("echo u''p; wait")
	x.run("kill -9 $!")
	assert.Equal(t, pid, x.run("echo $$"), "the shell lived through all of it")
	x.see("> ")
	x.press("exec sh -c 'exit 7'\r")
	err := x.cmd.Wait()
	assert.Equal(t, 7, x.cmd.ProcessState.ExitCode(), "%v", err)
}

func TestShell_EditsLinesAndEndsWithItsInput(t *testing.T) {
	x := openShell(t, syscall.SysProcAttr{})
	assert.Equal(t, "one", x.run("echo one"))
	x.see("> ")
	x.press("\x1b[A\r") // the line before
	x.see("\none")
	x.see("> ")
	x.press("for i in 1 2; do\r")
	x.see("> ")
	x.press("echo n$i; done\r")
	x.see("\nn1\r\nn2\r\n> ")
	x.press("echo /dev/nul\t\r")
	x.see("\n/dev/null")
	x.see("> ")
	x.press("(exit 3)\r")
	x.see("> ")
	x.press("\x04")
	x.cmd.Wait()
	assert.Equal(t, 3, x.cmd.ProcessState.ExitCode(), "^D leaves with the status of the last command")
}

func newPIDNamespace() syscall.SysProcAttr {
	return syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
}

func TestShell_AsPID1(t *testing.T) {
	x := openShell(t, newPIDNamespace())
	assert.Equal(t, "1", x.run("echo $$"))
	assert.Empty(t, x.run("mount -t proc proc /proc"))
	x.interrupt("sh -c 'echo u''p; sleep 60'")
	x.run("sh -c 'sleep 0.05 & exit'") // an orphan: ours to reap
	assert.Equal(t, "gone", x.run("while ps -o stat,comm | grep -q -E 'Z|sleep'; do :; done; echo gone"))
	x.see("> ")
	x.press("exit 5\r")
	x.cmd.Wait()
	assert.Equal(t, 5, x.cmd.ProcessState.ExitCode())
}

func TestMain_AsPID1EndsOnASignal(t *testing.T) {
	for _, argv := range [][]string{{"yes", "up"}, {"sh", "-c", "echo up; sleep 60; true"}} {
		t.Run(argv[0], func(t *testing.T) {
			cmd := exec.Command(argv[0], argv[1:]...)
			attr := newPIDNamespace()
			cmd.SysProcAttr = &attr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			if err := cmd.Start(); err != nil {
				t.Skipf("a user namespace is needed here: %v (see ./lab doctor)", err)
			}
			kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
			defer kill.Stop()
			_, err = io.ReadFull(stdout, make([]byte, 3)) // it runs, so its handler is there
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			go io.Copy(io.Discard, stdout)
			cmd.Wait()
			assert.Equal(t, 143, cmd.ProcessState.ExitCode(), "128+15")
		})
	}
}

func TestWget_FetchesWhatHttpdServes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/page.txt", []byte("hello\n"), 0o644))
	require.NoError(t, os.Symlink("/etc/passwd", dir+"/out"))
	url := startHTTPD(t, "-d", dir)
	out, err := exec.Command("wget", "-qO-", url+"/page.txt").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "hello\n", string(out))
	for _, path := range []string{"/none", "/out", "/../../etc/passwd"} {
		out, err = exec.Command("wget", "-qO-", url+path).CombinedOutput()
		assert.Error(t, err)
		assert.Equal(t, "wget: "+url+path+": the server answered 404 Not Found\n", string(out), "nothing outside the directory")
	}
	wget, err := exec.LookPath("wget")
	require.NoError(t, err)
	cmd := exec.Command(wget, url+"/page.txt")
	cmd.Dir = t.TempDir()
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.FileExists(t, cmd.Dir+"/page.txt")
}

func startHTTPD(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("httpd", append([]string{"-p", "0"}, args...)...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var addr string
	_, err = fmt.Fscanf(stderr, "httpd: listening on %s\n", &addr)
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return "http://127.0.0.1:" + port
}

func TestNc_SendsAndReceives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			all, _ := io.ReadAll(conn) // ends because nc closes its half
			conn.Write(bytes.ToUpper(all))
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.Command("nc", "127.0.0.1", port)
	cmd.Stdin = strings.NewReader("ping\n")
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "PING\n", string(out))
}
