package cgroups

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts cmd in g: the process is a member before its first instruction.
func (g *Group) Start(cmd *exec.Cmd) error {
	// O_PATH: nothing is read, the descriptor only says which group (clone3's
	// cgroup field). Close-on-exec, so that the child does not keep it.
	fd, err := unix.Open(g.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open group %s: %w", g.dir, err)
	}
	defer unix.Close(fd)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = fd
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in group %s: %w", g.dir, err)
	}
	return nil
}
