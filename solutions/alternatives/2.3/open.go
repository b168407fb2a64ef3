// Alternative: the folder is opened with os.Open, and the attributes are a changed copy.
package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func (g *Group) Start(cmd *exec.Cmd) error {
	dir, err := os.Open(g.dir)
	if err != nil {
		return fmt.Errorf("no group to start in: %w", err)
	}
	defer dir.Close()
	var attr syscall.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	cmd.SysProcAttr = &attr
	err = cmd.Start()
	if err != nil {
		err = fmt.Errorf("clone into %s: %w", g.dir, err)
	}
	return err
}
