package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

// outer starts PID 1 of the sandbox and waits for it. An error means that no
// sandbox could be made; nothing has run then.
func outer(o Options) (int, error) {
	// PR_SET_PDEATHSIG watches the thread that forked, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if o.Cgroup {
		hostgroup.EnterScope()
	}
	mode, uids, gids, err := pickMode()
	if err != nil {
		return 0, err
	}
	go_, err := newGate()
	if err != nil {
		return 0, err
	}
	defer go_.close()
	if dir, done := findings(); dir != "" {
		defer done()
		o.Writable = append(slices.Clone(o.Writable), dir)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = append([]*os.File{go_.r}, inherited()...)
	cmd.Env = append(os.Environ(), stageVar+"=init", modeVar+"="+string(mode), groupVar+"=",
		keepVar+"="+strings.Join(o.Writable, string(os.PathListSeparator)))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	switch mode {
	case Single:
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	case Range:
		// The map is written once the child exists, which is after its execve: ambient
		// capabilities let it keep what the new user namespace gave it until then.
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.AmbientCaps = allCaps()
	}
	var group *group
	if o.Cgroup {
		if group, err = newGroup(mode); err != nil {
			cmd.Env = append(cmd.Env, groupVar+"="+groupEnv{None: err.Error()}.env())
			err = nil // no group is no reason for no sandbox
		} else {
			defer group.remove()
			cmd.Env = append(cmd.Env, groupVar+"="+group.env())
			group.limit()
			group.attach(cmd.SysProcAttr)
		}
	}
	if err := cmd.Start(); err != nil {
		return 0, explain(err)
	}
	if mode == Range {
		err = errors.Join(newidmap("newuidmap", cmd.Process.Pid, os.Getuid(), uids), newidmap("newgidmap", cmd.Process.Pid, os.Getgid(), gids))
	}
	if group != nil && err == nil {
		err = group.adopt(cmd.Process.Pid)
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return 0, err
	}
	stop := forward(cmd.Process.Pid)
	defer stop()
	go_.open()
	err = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 0, err
}

// explain adds the usual reason to the errors of clone(2).
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("no user namespace for an ordinary user here (%w): ./lab doctor says how to allow it", err)
	}
	return err
}

func newidmap(tool string, pid, id int, r subRange) error {
	out, err := exec.Command(tool, strconv.Itoa(pid), "0", strconv.Itoa(id), "1", "1", strconv.Itoa(r.Start), strconv.Itoa(r.Count)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// forward passes on the signals that ask a test run to end.
func forward(pid int) (stop func()) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	go func() {
		for s := range ch {
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
	return func() { signal.Stop(ch); close(ch) }
}

// A gate holds PID 1 back until its ids are mapped: it reads one byte from descriptor 3.
type gate struct{ r, w *os.File }

func newGate() (*gate, error) {
	r, w, err := os.Pipe()
	return &gate{r, w}, err
}

func (g *gate) open()  { g.w.Write([]byte{1}); g.w.Close() }
func (g *gate) close() { g.w.Close(); g.r.Close() }

// resultFD names the descriptor that a grader left open; it is handed on as 4.
const resultFD = "CORACLE_RESULT_FD"

func inherited() []*os.File {
	fd, err := strconv.Atoi(os.Getenv(resultFD))
	if err != nil {
		return nil
	}
	os.Setenv(resultFD, "4")
	return []*os.File{os.NewFile(uintptr(fd), "results")}
}

// findings makes the folder into which fuzzing writes what makes a test fail, so
// that the sandbox leaves it writable; done removes it if nothing was found.
func findings() (dir string, done func()) {
	if !slices.ContainsFunc(os.Args[1:], func(a string) bool { return strings.HasPrefix(a, "-test.fuzz=") }) {
		return "", nil
	}
	dir, err := filepath.Abs("testdata/fuzz")
	if err != nil || os.MkdirAll(dir, 0o755) != nil {
		return "", nil
	}
	return dir, func() {
		os.Remove(dir) // unless there is something in it
		os.Remove(filepath.Dir(dir))
	}
}
