package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// makeDisk returns an unnamed file with an empty ext4.
func makeDisk(ctx context.Context, mb int) (*os.File, error) {
	mkfs, err := lookPath("mkfs.ext4")
	if err != nil {
		return nil, errors.New("no mkfs.ext4 for the disk of the virtual machine: sudo apt-get install e2fsprogs")
	}
	f, err := anonymousFile("disk")
	if err != nil {
		return nil, fmt.Errorf("disk of the virtual machine: %w", err)
	}
	if err = f.Truncate(int64(mb) << 20); err == nil {
		cmd := exec.CommandContext(ctx, mkfs, "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "/dev/fd/3")
		cmd.ExtraFiles = []*os.File{f}
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("disk of the virtual machine: %w", err)
	}
	return f, nil
}

func socketpair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "port"), os.NewFile(uintptr(fds[1]), "port"), nil
}
