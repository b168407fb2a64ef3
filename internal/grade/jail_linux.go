package grade

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"coracle/internal/sandbox"
)

// Main is called first in the main function of a program that grades: it returns
// true, and the status to exit with, if the process is one that grading started.
func Main() (code int, is bool) {
	if code, is := sandbox.Jailed(); is {
		return code, true
	}
	return guest(context.Background())
}

func jailed(ctx context.Context, u unit, result *os.File, args ...string) (*exec.Cmd, error) {
	j := sandbox.Jail{Bin: u.Bin, Cgroup: u.Cgroup, Memory: u.Limits.Memory, Tasks: u.Limits.Tasks,
		CPU: int(u.Limits.Time.Seconds()), Hide: u.Hide}
	return j.Command(ctx, result, environment(), args...)
}

// socketPair is the descriptor for results: the nonce goes down, outcomes come up.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "results"), os.NewFile(uintptr(fds[1]), "results"), nil
}
