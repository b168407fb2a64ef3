package gotest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithUs has the kernel kill cmd should this process be killed. It watches the
// thread that forks (prctl(2), PR_SET_PDEATHSIG), which is kept until undo.
func dieWithUs(cmd *exec.Cmd) (undo func()) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return runtime.UnlockOSThread
}
