// Package userns gives an ordinary user's program what a store of images asks for:
// ids to own files with, and mounts.
//
//	image (you) ──▶ clone into a user and a mount namespace ──▶ image (root in there)
//	     └─ MapIDs, with the range of ids that you have, or your own alone
//
// The second one does the work; the first waits, passes signals on and takes over its
// exit status. Root does without, unless a mount is to be seen by nobody else.
//
// In full size: containers/storage, pkg/unshare; rootless-containers/rootlesskit.
package userns

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
	images "coracle/03-images"
)

// stage tells the second process that it is one. gateFD ends when its ids are mapped.
const (
	stage  = "CORACLE_USERNS"
	gateFD = 3
)

// Entered is how Enter ended.
type Entered struct {
	Done     bool // another process has done the work, and ended with Status
	Status   int
	Ordinary bool // it was an ordinary user who called
}

// Enter makes sure that this process may mount. Where it had to start another one
// for that, that one goes on in its place. private asks for a mount namespace of its
// own for root as well.
func Enter(private bool) (Entered, error) {
	if who := os.Getenv(stage); who != "" {
		os.Unsetenv(stage)
		return Entered{Ordinary: who == "user"}, inside()
	}
	root := mayMount()
	if root && !private {
		return Entered{}, nil
	}
	status, err := again(root)
	return Entered{Done: true, Status: status}, err
}

// inside waits for the ids and makes sure that no mount gets out.
func inside() error {
	gate := os.NewFile(gateFD, "gate")
	n, _ := gate.Read(make([]byte, 1))
	gate.Close()
	if n != 1 {
		return errors.New(stage + " is set, and nobody has: unset it")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	return nil
}

// again executes this program in namespaces of its own.
func again(root bool) (int, error) {
	// It dies with the thread that started it (PR_SET_PDEATHSIG): with the main
	// goroutine's own, that is with this process.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stage+"=root")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if !root {
		// Ambient capabilities survive the execve, which comes before the ids are mapped.
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.AmbientCaps = allCaps()
		cmd.Env = append(os.Environ(), stage+"=user")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	cmd.ExtraFiles = []*os.File{r}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		r.Close()
		if !root && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC)) {
			err = fmt.Errorf("no user namespace for an ordinary user here (%w): ./lab doctor says how to allow it", err)
		}
		return 0, err
	}
	r.Close()
	if !root {
		uids, gids := namespaces.DefaultIDMaps()
		if err := namespaces.MapIDs(cmd.Process.Pid, uids, gids); err != nil {
			w.Close()
			cmd.Process.Kill()
			cmd.Wait()
			return 0, fmt.Errorf("%w (a range in /etc/subuid and /etc/subgid may be wrong: ./lab doctor)", err)
		}
	}
	w.Write([]byte{1})
	go func() {
		for s := range signals {
			// What a terminal's key sends reaches the other one as well.
			if s != syscall.SIGINT && s != syscall.SIGQUIT || !InForeground() {
				cmd.Process.Signal(s)
			}
		}
	}()
	cmd.Wait() // how it ended is in its state
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Owners says how files' owners can be kept here: where only one id is mapped, not
// by the file system.
func Owners() images.Owners {
	text, _ := os.ReadFile("/proc/self/uid_map")
	ids := 0
	for line := range strings.Lines(string(text)) {
		var inside, outside, size int
		fmt.Sscan(line, &inside, &outside, &size)
		ids = min(ids+size, math.MaxInt32)
	}
	if ids == 1 {
		return images.Single
	}
	return images.Kernel
}

// mayMount says whether this process has what mount(2) asks for: root in a
// container may have lost it.
func mayMount() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&hdr, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

func allCaps() []uintptr {
	var caps []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil && v == 1 {
			caps = append(caps, c)
		}
	}
	return caps
}

// InForeground says whether this process's group is the one that its terminal's keys
// send signals to.
func InForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	pgrp, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}
