package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func start(t *testing.T, g *Group, p *process) error {
	t.Helper()
	_, err := check.Within(t, "Start in "+g.Dir(), "its return", func() (int, error) { return 0, g.Start(p.Cmd) },
		check.Often(true, "cmd.Run waits for the process to end"))
	if err == nil {
		p.endWith(t)
	}
	return err
}

func TestStart_InTheGroup(t *testing.T) {
	exercise.Need(t, "2.3")
	g := ownGroup(t)
	p := command(t, "where", "")
	check.NoError(t, "Start", start(t, g, p))
	p.gate.Close()
	want, got := "0::"+strings.TrimPrefix(g.Dir(), mount(t)), ""
	for got = p.line(); got != "" && !strings.HasPrefix(got, "0::"); got = p.line() {
		// the hierarchies of v1 on a hybrid machine
	}
	attr := p.SysProcAttr
	check.Equal(t, "the child's line of v2 in /proc/self/cgroup", want, got,
		check.Often(attr != nil && attr.CgroupFD > 0 && !attr.UseCgroupFD, "CgroupFD without UseCgroupFD is ignored"))
}

func mount(t *testing.T) string {
	dir, err := sandbox.Group()
	check.NoError(t, "the tests' own group", err)
	return dir
}

// The group is frozen before: what is born in it does not even execve(2), what is
// moved in later is stopped at what it was doing.
func TestStart_BeforeItsFirstInstruction(t *testing.T) {
	exercise.Need(t, "2.3")
	g := ownGroup(t)
	write(t, g, "cgroup.freeze", "1")
	self, err := os.Readlink("/proc/self/exe")
	check.NoError(t, "readlink /proc/self/exe", err)
	watcher := spawn(t, nil, "thaw", g.Dir())
	p := command(t, "where", "")
	p.Path = copyOf(t, self)
	check.NoError(t, "Start in a frozen group", start(t, g, p))
	executing := watcher.line()
	check.Equal(t, "what the first process of the group executed", self, executing,
		check.Often(executing == "the test itself", "this process moves itself into the group and back"),
		check.Often(executing == "nothing", "the process is nowhere in the group"),
		check.Often(true, "the process is moved after it was started"))
}

// copyOf makes a program that is told from this one by its path.
func copyOf(t *testing.T, program string) string {
	t.Helper()
	b, err := os.ReadFile(program)
	check.NoError(t, "read "+program, err)
	other := filepath.Join(t.TempDir(), "other")
	check.NoError(t, "copy it", os.WriteFile(other, b, 0o755))
	return other
}

func TestStart_LeavesNothing(t *testing.T) {
	exercise.Need(t, "2.3")
	g := ownGroup(t)
	before := descriptors(t, "self")
	p := command(t, "stand", "")
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.Stderr = nil // where it is descriptor 1, exec would move it over one that is left open
	check.NoError(t, "Start", start(t, g, p))
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(p.Process.Pid), 0, 0)
	check.Equal(t, "errno of getsid", syscall.Errno(0), errno)
	check.True(t, "a child that was to have its own session", int(session) == p.Process.Pid, "it has this process's", "its own",
		check.Often(true, "SysProcAttr is replaced, what the caller asked for is lost"))
	for fd, to := range descriptors(t, "self") {
		check.True(t, "descriptors after Start", before[fd] == to || !strings.HasPrefix(to, mount(t)), fd+" is still "+to, "it closed",
			check.Often(true, "the group's descriptor is never closed"))
	}
	for fd, to := range descriptors(t, strconv.Itoa(p.Process.Pid)) {
		check.True(t, "the child's descriptors", !strings.HasPrefix(to, mount(t)), fd+" is "+to, "none of the group",
			check.Often(true, "without O_CLOEXEC the child keeps the group's descriptor"))
	}
}

func descriptors(t *testing.T, pid string) map[string]string {
	t.Helper()
	open, dir := map[string]string{}, "/proc/"+pid+"/fd/"
	links, err := os.ReadDir(dir)
	check.NoError(t, "list "+dir, err)
	for _, l := range links {
		to, err := os.Readlink(dir + l.Name())
		if errors.Is(err, os.ErrNotExist) {
			continue // that of ReadDir
		}
		check.NoError(t, "readlink "+dir+l.Name(), err)
		open[l.Name()] = to
	}
	return open
}

func TestStart_ErrorsNameTheGroup(t *testing.T) {
	exercise.Need(t, "2.3")
	g := ownGroup(t)
	gone := mkdir(t, g, "gone")
	check.NoError(t, "rmdir", os.Remove(gone.Dir()))
	err := start(t, gone, command(t, "stand", ""))
	check.ErrorIs(t, "Start in a group that is gone", err, syscall.ENOENT)
	check.ErrorHas(t, "Start in a group that is gone", err, []string{gone.Dir()})

	if sandbox.Controller("pids").Has() != nil {
		return
	}
	write(t, &Group{mount(t)}, "cgroup.subtree_control", "+pids")
	write(t, g, "pids.max", "0")
	err = start(t, g, command(t, "stand", ""))
	check.True(t, "Start in a group that may hold nothing", errors.Is(err, syscall.EAGAIN), check.Error(err), "EAGAIN",
		check.Often(err == nil, "the process is moved after it was started"))
	check.ErrorHas(t, "Start in a group that may hold nothing", err, []string{g.Dir()})
}
