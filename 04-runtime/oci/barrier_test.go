package oci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// atBarrier is the test binary as the one that waits: "test:barrier WHAT", the FIFO as descriptor 3.
func atBarrier() {
	switch os.Args[0] {
	case "test:barrier":
	case "test:barrier-through":
		unix.Pause()
	default:
		return
	}
	proc, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		os.Exit(1)
	}
	fmt.Println("waits")
	out, err := Await(3, proc)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	switch os.Args[1] {
	case "runs":
		unix.Exec("/proc/self/exe", []string{"test:barrier-through"}, nil)
	case "fails":
		out.WriteString("it broke\nbadly")
	case "dies":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	os.Exit(0)
}

// waiter starts one that waits at a new barrier.
func waiter(t *testing.T, what string) (path string, cmd *exec.Cmd, pidfd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "exec.fifo")
	fifo, err := MakeBarrier(path)
	check.NoError(t, "make a barrier", err)
	defer fifo.Close()
	cmd = exec.Command("/proc/self/exe", what)
	cmd.Args[0] = "test:barrier"
	cmd.ExtraFiles = []*os.File{fifo}
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start one that waits", cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	b := make([]byte, 100)
	n, _ := check.Within(t, "one that is to wait", "its line", func() (int, error) { return out.Read(b) })
	check.Equal(t, "what it says", "waits\n", string(b[:n]))
	pidfd, err = unix.PidfdOpen(cmd.Process.Pid, 0)
	check.NoError(t, "open it", err)
	t.Cleanup(func() { unix.Close(pidfd) })
	return path, cmd, pidfd
}

func release(t *testing.T, path string, pidfd int) error {
	t.Helper()
	_, err := check.Within(t, "Release", "it to return", func() (struct{}, error) { return struct{}{}, Release(path, pidfd) },
		check.Often(true, "an open for reading that waits for a writer which never comes"))
	return err
}

func TestBarrier_Make(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exec.fifo")
	defer unix.Umask(unix.Umask(0o077))
	f, err := MakeBarrier(path)
	check.NoError(t, "make a barrier", err)
	defer f.Close()
	fi, err := os.Lstat(path)
	check.NoError(t, "look at it", err)
	check.Equal(t, "what it is", "prw--w--w-", fi.Mode().String(), check.Often(true, "a mode that went through the umask"))
	_, err = unix.Write(int(f.Fd()), []byte("x"))
	check.ErrorIs(t, "write to what MakeBarrier returns, which is O_PATH", err, unix.EBADF)
	_, err = MakeBarrier(path)
	check.ErrorHas(t, "make it a second time", err, []string{path})
}

func TestBarrier_HoldsAndReleases(t *testing.T) {
	path, cmd, pidfd := waiter(t, "runs")
	// It sleeps in open(2), and in nothing else: it is not polling.
	check.Eventually(t, "one that waits at the barrier", "it to sleep in openat(2)", func() bool {
		threads, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/*/syscall") // Go may take any
		return slices.ContainsFunc(threads, func(thread string) bool {
			call, _ := os.ReadFile(thread)
			return strings.HasPrefix(string(call), strconv.Itoa(unix.SYS_OPENAT)+" ")
		})
	})
	check.NoError(t, "release it", release(t, path, pidfd))
	line, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cmdline")
	check.True(t, "the process after Release", err == nil && strings.HasPrefix(string(line), "test:barrier-through"), string(line), "its program: Release returns once it runs",
		check.Often(true, "a Release that returns when the FIFO is open, before execve"))
}

func TestBarrier_TellsErrors(t *testing.T) {
	path, _, pidfd := waiter(t, "fails")
	err := release(t, path, pidfd)
	check.True(t, "release one that fails", err != nil && err.Error() == "it broke\nbadly", fmt.Sprint(err), "the text that it wrote")
}

func TestBarrier_Dead(t *testing.T) {
	path, cmd, pidfd := waiter(t, "runs")
	check.NoError(t, "kill it", cmd.Process.Kill())
	check.Within(t, "kill it", "its end", func() (int, error) {
		return unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
	})
	err := release(t, path, pidfd)
	check.ErrorHas(t, "release one that is dead", err, []string{"ended"})
	check.ErrorIs(t, "release without a barrier", Release(path+"-none", pidfd), os.ErrNotExist)
}
