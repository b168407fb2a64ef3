// Vminit is the init of the workshop's virtual machine (coracle/internal/vm). It is three programs in one file:
//
//	PID 1     mounts, moves to the real root, starts the agent, and from then on only reaps what others orphaned: a
//	          zombie that nobody waits for would look to a test like a process that it failed to end
//	agent     runs the job's commands and talks to the host
//	modprobe  called by the kernel when something asks for a file system or a link type that is not loaded yet
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"coracle/internal/vm/wire"
)

func main() {
	var err error
	switch {
	case os.Getpid() != 1 && len(os.Args) > 1 && os.Args[1] == "agent":
		err = agent()
	case os.Getpid() != 1:
		if modprobe(os.Args[len(os.Args)-1]) != nil {
			os.Exit(1) // the kernel says what it missed
		}
		return
	default:
		err = first()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "vminit: %v\n", err) // the console, whose end the host shows
	}
	if os.Getpid() == 1 {
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) //nolint:errcheck // an init that returns panics the kernel, which ends the machine too
	}
}

func readJob() (job wire.Job, err error) {
	text, err := os.ReadFile(wire.Dir + "/job.json")
	if err != nil {
		return job, err
	}
	return job, json.Unmarshal(text, &job)
}

// first is PID 1 from the kernel's jump to user space until the agent ends.
func first() error {
	job, err := readJob()
	if err != nil {
		return err
	}
	if err := mountAll("", kernelMounts); err != nil {
		return err
	}
	for _, name := range job.Modules {
		if err := modprobe(name); err != nil {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	if err := moveRoot(job.Root); err != nil {
		return err
	}
	if err := furnish(job); err != nil {
		return err
	}
	agent, err := os.StartProcess(wire.Dir+"/init", []string{"init", "agent"}, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == agent.Pid || err == unix.ECHILD {
			return nil
		}
	}
}

// modprobe loads what answers to a name or an alias, and before it what that needs.
func modprobe(name string) error {
	text, err := os.ReadFile(wire.Dir + "/modules/index")
	if err != nil {
		return err
	}
	found := false
	needs := parseIndex(string(text), name)
	for _, m := range needs {
		found = true
		if err := load(m); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	if !found {
		return os.ErrNotExist
	}
	return nil
}

func load(name string) error {
	f, err := os.Open(filepath.Join(wire.Dir, "modules", name+".ko"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}
