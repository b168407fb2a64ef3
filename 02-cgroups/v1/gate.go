package v1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const gateName = "coracle-gate"

// Reexec is the gate: it waits, executes the command and never returns, if this
// process is one.
func Reexec() {
	if os.Args[0] != gateName {
		return
	}
	runtime.LockOSThread()
	b := make([]byte, 4)
	if n, _ := unix.Read(3, b[:1]); n != 1 {
		os.Exit(125) // the parent gave up
	}
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	err := syscall.Exec(os.Args[1], os.Args[2:], os.Environ())
	var errno syscall.Errno
	errors.As(err, &errno)
	binary.NativeEndian.PutUint32(b, uint32(errno))
	unix.Write(4, b)
	os.Exit(125)
}

// behindGate starts cmd behind a gate and lets it go once move has moved it.
func behindGate(cmd *exec.Cmd, start func() error, move func(pid int) error) error {
	if len(cmd.ExtraFiles) > 0 {
		return errors.New("start behind a gate: descriptors 3 and 4 are the gate's, ExtraFiles must be empty")
	}
	if cmd.Err != nil {
		return cmd.Err
	}
	gate, open, err := os.Pipe()
	if err != nil {
		return err
	}
	said, say, err := os.Pipe()
	if err != nil {
		gate.Close()
		open.Close()
		return err
	}
	defer said.Close()
	defer open.Close()
	path := cmd.Path
	cmd.Args = append([]string{gateName, path}, cmd.Args...)
	cmd.Path, cmd.ExtraFiles = "/proc/self/exe", []*os.File{gate, say}
	err = start()
	gate.Close()
	say.Close()
	if err != nil {
		return err
	}
	if err = move(cmd.Process.Pid); err != nil {
		err = fmt.Errorf("move process %d into its groups: %w", cmd.Process.Pid, err)
	} else if _, err = open.Write([]byte{1}); err == nil {
		errno := make([]byte, 4)
		if _, err = io.ReadFull(said, errno); errors.Is(err, io.EOF) {
			return nil // execve closed it
		}
		if err == nil {
			err = &fs.PathError{Op: "exec", Path: path, Err: syscall.Errno(binary.NativeEndian.Uint32(errno))}
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return err
}
