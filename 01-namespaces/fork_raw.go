package namespaces

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw child. After a fork only the calling thread exists; the Go runtime's
// other threads are gone, with whatever locks they held. So nothing here may
// allocate, grow the stack, take a lock or be scheduled: it makes system calls with
// what prepare has laid out, and executes a program or exits. The syscall package
// starts every process like this (forkAndExecInChild1).

// maxFiles is below every descriptor that the child uses itself, unless the program has more.
const maxFiles = 16

type rawPlan struct {
	steps     []rawStep
	files     []uintptr
	exe       uintptr
	argv, env []*byte
	report    uintptr // the pipe to the caller
	open      []int   // what prepare opened
	above     int     // every descriptor of the program is below
	dies      bool    // with the caller
	err       error   // why it could not
}

type rawStep struct {
	do        Op
	fd, flags uintptr
}

// A report is two words: the step that failed and its errno, or reportFork and the
// PID of the child that goes on.
const (
	reportSize = 16
	reportFork = 1 << 32
)

// Before and after a fork the runtime must know: no signal may be handled in the
// child, whose handlers are Go code.
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// fork starts the raw child and returns its PID.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(p *rawPlan) (int, syscall.Errno) {
	if p.err != nil {
		return 0, unix.EBADF
	}
	// No descriptor may be opened meanwhile that is not yet close-on-exec.
	syscall.ForkLock.Lock()
	beforeFork()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		afterForkInChild()
		rawChild(p)
	}
	afterFork()
	syscall.ForkLock.Unlock()
	return int(pid), errno
}

// rawChild never returns.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rawChild(p *rawPlan) {
	// It bears the caller's files and soon belongs to a container: nobody in there
	// may trace it before it is executed anew.
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
	for i := range p.steps {
		s := &p.steps[i]
		var errno syscall.Errno
		switch s.do {
		case SetNS:
			_, _, errno = syscall.RawSyscall6(unix.SYS_SETNS, s.fd, s.flags, 0, 0, 0, 0)
		case unshare:
			_, _, errno = syscall.RawSyscall6(unix.SYS_UNSHARE, s.flags, 0, 0, 0, 0, 0)
		case Fork:
			// CLONE_PARENT: the new process is a child of the caller and not of this one, so
			// that it is waited for and signalled as any other, and this one is not needed.
			var pid uintptr
			pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno == 0 && pid != 0 {
				rawReport(p, reportFork, pid)
				rawExit(0)
			}
		case BecomeRoot:
			// EPERM: setgroups was denied, as it must be where a user maps only itself.
			_, _, errno = syscall.RawSyscall6(unix.SYS_SETGROUPS, 0, 0, 0, 0, 0, 0)
			if errno == 0 || errno == unix.EPERM {
				_, _, errno = syscall.RawSyscall6(unix.SYS_SETRESGID, 0, 0, 0, 0, 0, 0)
			}
			if errno == 0 {
				_, _, errno = syscall.RawSyscall6(unix.SYS_SETRESUID, 0, 0, 0, 0, 0, 0)
			}
		default:
			errno = unix.ENOTSUP
		}
		if errno != 0 {
			rawReport(p, uintptr(i), uintptr(errno))
			rawExit(1)
		}
	}
	rawReport(p, uintptr(len(p.steps)), uintptr(rawExec(p)))
	rawExit(1)
}

// rawExec returns only if it fails.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rawExec(p *rawPlan) syscall.Errno {
	if p.dies {
		if _, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0); errno != 0 {
			return errno
		}
	}
	for i, fd := range p.files {
		if _, _, errno := syscall.RawSyscall6(unix.SYS_DUP3, fd, uintptr(i), 0, 0, 0, 0); errno != 0 {
			return errno
		}
	}
	// What the caller itself was given, by a shell for one, is not for the container.
	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, uintptr(len(p.files)), ^uintptr(0)>>32, unix.CLOSE_RANGE_CLOEXEC, 0, 0, 0)
	var empty byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_EXECVEAT, p.exe, uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

//go:nosplit
//go:norace
func rawReport(p *rawPlan, what, value uintptr) {
	words := [2]uint64{uint64(what), uint64(value)}
	syscall.RawSyscall6(unix.SYS_WRITE, p.report, uintptr(unsafe.Pointer(&words)), reportSize, 0, 0, 0)
}

//go:nosplit
//go:norace
func rawExit(status uintptr) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0)
	}
}
