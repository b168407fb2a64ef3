// Command signals shows what a signal does to an ordinary process, to one that
// ignores it, and to process 1 of a PID namespace.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	for _, c := range []struct {
		who, script string
		pid1        bool
	}{
		{"ordinary", "echo; exec cat", false},
		{"ignores TERM", "trap '' TERM; echo; exec cat", false},
		{"process 1", "echo; kill -TERM 1; echo survived; exec cat", true},
	} {
		if err := try(c.who, c.script, c.pid1); err != nil {
			fmt.Fprintf(os.Stderr, "signals: %s: %v\n", c.who, err)
			os.Exit(1)
		}
	}
}

func try(who, script string, pid1 bool) error {
	child := exec.Command("sh", "-c", script)
	if pid1 {
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	stdin, err := child.StdinPipe() // cat ends when this is closed
	if err != nil {
		return err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start it (./lab doctor helps): %w", err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Scan() // it has set its traps
	if pid1 {
		lines.Scan() // it has sent itself TERM, from inside, and goes on
	} else {
		child.Process.Signal(syscall.SIGTERM)
	}
	stdin.Close()
	child.Wait()
	ws := child.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ws.Signaled():
		fmt.Printf("%-13s TERM ended it; a shell would call that status %d\n", who+":", 128+int(ws.Signal()))
	default:
		fmt.Printf("%-13s TERM did nothing; it ended by itself with status %d\n", who+":", ws.ExitStatus())
	}
	return nil
}
