//go:build !linux

package vm

import (
	"os"
	"syscall"
)

// anonymousFile is a file whose name is gone at once.
func anonymousFile(name string) (*os.File, error) {
	f, err := os.CreateTemp("", "coracle-"+name)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
