package gotest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestRun_NothingOutlivesAKilledCaller kills a process that runs a test binary, here
// a shell that says its pid and waits, and awaits the end of that one.
func TestRun_NothingOutlivesAKilledCaller(t *testing.T) {
	if bin := os.Getenv("GOTEST_CALLER"); bin != "" {
		Run(context.Background(), bin, ".", Options{Live: os.Stdout})
		return
	}
	bin := t.TempDir() + "/waits"
	require.NoError(t, os.WriteFile(bin, []byte("#!/bin/sh\necho pid $$\nread never < $0.fifo\n"), 0o755))
	require.NoError(t, unix.Mkfifo(bin+".fifo", 0o600))
	caller := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	caller.Env = append(os.Environ(), "GOTEST_CALLER="+bin)
	out, err := caller.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, caller.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var pid int
	_, err = fmt.Sscanf(line, "pid %d", &pid)
	require.NoError(t, err, line)
	fd, err := unix.PidfdOpen(pid, 0)
	require.NoError(t, err)
	defer unix.Close(fd)

	require.NoError(t, caller.Process.Kill())
	caller.Wait()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	require.NoError(t, err)
	if n == 0 {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Fatal("the test binary still runs 5 s after its caller was killed")
	}
}
