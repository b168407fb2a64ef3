package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap runs the tests, which exe holds, as a child and collects every orphan of the namespace
// until they end; the result is their exit status. When it returns, PID 1 ends
// and the kernel ends whatever the tests left running.
func reap(exe string) int {
	files := []uintptr{0, 1, 2}
	if os.Getenv(resultFD) != "" {
		files = append(files, 4)
		os.Setenv(resultFD, "3")
	}
	os.Setenv(stageVar, "test")
	tests, err := syscall.ForkExec(exe, os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: files,
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox: start the tests:", err)
		return 125
	}
	stop := forward(tests)
	defer stop()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "sandbox: wait for the tests:", err)
			return 125
		case pid == tests && ws.Signaled():
			return 128 + int(ws.Signal())
		case pid == tests:
			return ws.ExitStatus()
		}
	}
}
