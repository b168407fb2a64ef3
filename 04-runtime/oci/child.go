package oci

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// initName is how the child knows itself. Its argument is the descriptor of the socket;
// a second one says that its ids will be mapped before the job comes.
const (
	initName = "coracle-container"
	mapped   = "mapped"
)

// initEnv is the child's environment until execve. It lives for milliseconds, of which
// collecting garbage and starting threads for it would be a large part.
var initEnv = []string{"GOGC=off", "GOMAXPROCS=1"}

// Init runs and never returns if this process is a container's. Every program that
// calls Create or Exec calls it first in its main.
func Init() {
	if len(os.Args) < 2 || os.Args[0] != initName {
		return
	}
	runtime.LockOSThread() // what is set up belongs to one thread, which executes the program
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		os.Exit(125)
	}
	// It bears descriptors that are not for the container, and may be in its PID
	// namespace already: nobody in there may trace it or look at /proc/PID/fd.
	// An ordinary user, though, could not map the ids of such a process (proc(5)).
	if len(os.Args) == 2 {
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	l := newLine(fd)
	var j job
	if err := l.in.Decode(&j); err != nil {
		os.Exit(125) // the caller has given up
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	j.Spec = j.Config.spec()
	b := &birth{job: j, line: l, fifo: -1, proc: -1}
	if err := b.run(fd); err != nil {
		b.tell(err)
	}
	os.Exit(125)
}

// A birth is the child's way from clone to execve.
type birth struct {
	job
	line *line
	fifo int
	proc int      // /proc/self/fd as the caller sees it
	wait *os.File // the barrier, open: takes what goes wrong after "ready"
}

// run returns only an error.
func (b *birth) run(first int) error {
	// From the first of ours on, nothing passes execve; by the descriptor of a folder
	// a path such as /proc/self/fd/9 would lead out of the root (CVE-2024-21626).
	if err := unix.CloseRange(uint(first), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	if err := enterDoors(b.Doors); err != nil {
		return err
	}
	if b.Exec {
		return b.become()
	}
	steps := []struct {
		asked bool
		do    func() error
	}{
		{b.NewUser, rootOfUserNS},
		{true, newSession},
		{b.Keyring != "", b.newKeyring},
		{b.fresh("cgroup"), func() error { return wrap("make a cgroup namespace", unix.Unshare(unix.CLONE_NEWCGROUP)) }},
		{b.fresh("network"), namespaces.LoopbackUp},
		{true, func() error { return prepareRoot(b.Spec, b.Rootfs, b.Trees) }},
		{true, func() error { return b.line.send(told{Did: "mounted"}) }},
		{true, b.mayGoOn},
		{b.Spec.Hooks != nil, b.createContainerHooks},
		{true, b.openProc},
		{true, func() error { return enterRoot(b.Spec, b.Rootfs, b.NoPivot) }},
		{b.Spec.Process.Terminal, func() error { return b.terminal(true) }},
		{b.Spec.Hostname != "", func() error { return wrap("sethostname", unix.Sethostname([]byte(b.Spec.Hostname))) }},
		{b.Spec.Domainname != "", func() error { return wrap("setdomainname", unix.Setdomainname([]byte(b.Spec.Domainname))) }},
		{len(b.Spec.Linux.Sysctl) > 0, func() error { return setSysctls(b.Spec.Linux.Sysctl) }},
		{true, func() error { return finishRoot(b.Spec) }},
		{true, b.become},
	}
	for _, s := range steps {
		if !s.asked {
			continue
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

// tell says what went wrong to whoever listens: the caller of create, then that of start.
func (b *birth) tell(err error) {
	e := &ChildError{Text: err.Error()}
	errors.As(err, &e.Errno)
	if b.wait == nil {
		b.line.send(told{Error: e})
		return
	}
	// Its reader may be gone, as may that of stderr: nobody listens then.
	b.wait.WriteString(e.Text)
}

func (b *birth) fresh(kind string) bool {
	for _, ns := range b.Spec.Linux.Namespaces {
		if string(ns.Type) == kind {
			return ns.Path == ""
		}
	}
	return false
}

func (b *birth) mayGoOn() error {
	var t told
	if err := b.line.in.Decode(&t); err != nil || !t.Go {
		os.Exit(125) // a hook failed, or the caller is gone
	}
	return nil
}

func (b *birth) createContainerHooks() error {
	return runHooks("createContainer", b.Spec.Hooks.CreateContainer, *b.State)
}

func (b *birth) openProc() (err error) {
	b.proc, err = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return wrap("open /proc/self/fd", err)
}

// terminal makes a pair in the container's devpts and sends its master to the caller's
// socket. /dev/console is the terminal too, but for a process that comes later.
func (b *birth) terminal(console bool) error {
	p := b.Spec.Process
	var size *unix.Winsize
	if s := p.ConsoleSize; s != nil {
		size = &unix.Winsize{Row: uint16(s.Height), Col: uint16(s.Width)}
	}
	_, err := namespaces.OpenTerminal(b.Console, int(p.User.UID), size)
	if err != nil || !console {
		return err
	}
	// Neither side by a name that the image could have made a link of (CVE-2025-52565):
	// the slave is standard input by now.
	fd, err := unix.Open("/dev/console", unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0o620)
	if err != nil {
		return fmt.Errorf("terminal: /dev/console: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Fchdir(b.proc); err != nil { // the container may have no /proc, or no honest one
		return wrap("terminal", err)
	}
	defer unix.Chdir("/")
	return wrap("terminal: bind /dev/console", unix.Mount("0", strconv.Itoa(fd), "", unix.MS_BIND, ""))
}

func (b *birth) newKeyring() error {
	_, err := unix.KeyctlJoinSessionKeyring(b.Keyring)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil // a kernel, or an outer container's filter, without keyrings
	}
	return wrap("make a session keyring (--no-new-keyring does without)", err)
}

// rootOfUserNS takes id 0 of the new user namespace: the process was executed before
// its ids were mapped and has none there yet.
func rootOfUserNS() error {
	// EPERM: setgroups was denied, as it must be where a user maps only itself.
	if err := setGroups(nil); err != nil && !errors.Is(err, unix.EPERM) {
		return wrap("setgroups in the new user namespace", err)
	}
	if err := setGID(0); err != nil {
		return wrap("setresgid 0 in the new user namespace (does gidMappings map 0?)", err)
	}
	return wrap("setresuid 0 in the new user namespace (does uidMappings map 0?)", setUID(0))
}

// newSession leaves the caller's session and terminal.
func newSession() error {
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, syscall.EPERM) {
		return wrap("setsid", err)
	}
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
