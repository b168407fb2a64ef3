// Mistake: the process is moved after it was started
package cgroups

import (
	"fmt"
	"os/exec"
	"strconv"
)

func (g *Group) Start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in group %s: %w", g.dir, err)
	}
	if err := g.Write("cgroup.procs", strconv.Itoa(cmd.Process.Pid)); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	return nil
}
