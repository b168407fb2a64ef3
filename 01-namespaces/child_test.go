package namespaces

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// A report is what a child saw and the error it met, as JSON on standard output,
// so that an errno is still one when the test looks at it.
type report[T any] struct {
	Saw T
	Err *StartError `json:",omitempty"`
}

// reporting adds f to inChild, as a function of the child's arguments that says
// what it saw.
func reporting(name string, f func(args []string) (any, error)) string {
	inChild[name] = func() error {
		saw, err := f(os.Args[1:])
		r := report[any]{Saw: saw}
		if err != nil {
			r.Err = new(StartError)
			if err := json.Unmarshal(encodeError(err), r.Err); err != nil {
				return err
			}
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return name
}

// reportOf runs a child in new namespaces; in a new user namespace it is root,
// and no other id is mapped.
func reportOf[T any](t testing.TB, name string, flags uintptr, args ...string) (T, error) {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.UidMappings, attr.GidMappings = one, one
	}
	return reportAs[T](t, name, attr, args...)
}

// reportAs fails the test if the child dies; a child that is silent until the
// deadline is killed, and the error is context.DeadlineExceeded.
func reportAs[T any](t testing.TB, name string, attr *syscall.SysProcAttr, args ...string) (T, error) {
	t.Helper()
	runtime.LockOSThread() // Pdeathsig watches the thread that forks
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(context.Background(), check.Deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = "test:" + name
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr, cmd.WaitDelay = attr, time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var r report[T]
	if ctx.Err() != nil {
		return r.Saw, fmt.Errorf("no answer for %v: %w", check.Deadline, ctx.Err())
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &r)
	}
	check.True(t, "run "+name+" in a child", err == nil, strings.TrimSuffix(fmt.Sprintf("%v: %s", err, errs.String()), ": "), "its report")
	if r.Err != nil {
		return r.Saw, r.Err
	}
	return r.Saw, nil
}
