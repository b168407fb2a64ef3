package box

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stress asks for processor time, memory or processes until a limit says no.
//
// A fork here is one task, so that a limit of N admits N minus the few threads
// of this process: the child is a bare clone that pauses, never Go code. After
// the fork only raw system calls are allowed, for the runtime's other threads
// do not exist in the child.
func stress(c *cmd) {
	f := c.parse("cpu: vm: forks: timeout: quiet", 0)
	if len(c.args) > 0 || len(f) == 0 {
		c.misuse()
	}
	cpus, forks := c.num(f, "cpu", 0), c.num(f, "forks", 0)
	say := func(format string, a ...any) {
		if !f.has("quiet") {
			fmt.Fprintf(os.Stderr, "stress: "+format+"\n", a...)
		}
	}
	hold := time.Duration(math.MaxInt64)
	if t, ok := f["timeout"]; ok {
		hold = c.duration(t)
	}
	end := time.After(hold)
	debug.SetGCPercent(-1) // a collection could want a thread just when none may be made
	if cpus > 0 {
		runtime.GOMAXPROCS(cpus + 1)
		for range cpus {
			go func() {
				for {
				}
			}()
		}
		say("burning %d cpu(s)", cpus)
	}
	if v, ok := f["vm"]; ok {
		c.touchPages(c.size(v), end, say)
	}
	var kids []int
	reap := func() { // a zombie counts against a pids limit until somebody waits for it
		for _, pid := range kids {
			unix.Kill(pid, unix.SIGKILL)
		}
		for range kids {
			unix.Wait4(-1, nil, 0, nil)
		}
	}
	for i := range forks {
		pid, errno := forkPause(uintptr(os.Getpid()))
		if errno != 0 {
			reap()
			c.die(1, "fork %d of %d: %w", i+1, forks, errno)
		}
		kids = append(kids, pid)
	}
	if forks > 0 {
		say("forked %d", forks)
	}
	if hold == math.MaxInt64 && cpus == 0 {
		say("holding until a signal ends me")
	}
	<-end
	reap()
}

// touchPages maps n bytes and writes one byte in each page, saying how far it
// got: the kernel counts a page at its first write, not when it is mapped.
func (c *cmd) touchPages(n int64, end <-chan time.Time, say func(string, ...any)) {
	mem, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		c.die(1, "--vm %s: %w", human(n), err)
	}
	step := max(n/8, 1<<20)
	for at := int64(0); at < n; at += int64(os.Getpagesize()) {
		mem[at] = 1
		if at > 0 && at%step == 0 {
			say("touched %s of %s", human(at), human(n))
			select {
			case <-end:
				c.exit(0)
			default:
			}
		}
	}
	say("touched %s", human(n))
}

//go:norace
//go:noinline
func forkPause(parent uintptr) (int, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	if now, _, _ := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); now != parent { // it died before we asked
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	all := ^uint64(0) // the runtime's handlers came along and must not run here
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), 0, 8, 0, 0)
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
