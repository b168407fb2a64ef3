package cgroups

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// helpers are what the test binary does when it is executed as "test:NAME ARG".
// Each first waits until its standard input ends or gives a line, so that it can
// be moved into a group before it does anything.
var helpers = map[string]func(arg string) error{
	// where says in which group it is.
	"where": func(string) error {
		b, err := os.ReadFile("/proc/self/cgroup")
		fmt.Printf("%s", b)
		return err
	},
	// eat touches ARG MiB.
	"eat": func(arg string) error {
		n, err := strconv.Atoi(arg)
		b := make([]byte, n<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(b)
		return err
	},
	// burn uses ARG of CPU time.
	"burn": func(arg string) error {
		d, err := time.ParseDuration(arg)
		for used := time.Duration(0); used < d; {
			var ru unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
				return err
			}
			used = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		}
		return err
	},
	// bomb forks ARG processes that stand still, or until it is refused, says how
	// many there are, and stands still too.
	"bomb": func(arg string) error {
		limit, _ := strconv.Atoi(arg)
		for n := 0; ; n++ {
			if n == limit {
				fmt.Println(n, "never refused")
				return stand("")
			}
			if err := fork(sleep); err != 0 {
				fmt.Println(n, unix.ErrnoName(err))
				return stand("")
			}
		}
	},
	// spin forks ARG processes that never leave the first processor, and waits. They
	// are nice, or this one would hardly get to say so.
	"spin": func(arg string) error {
		n, _ := strconv.Atoi(arg)
		runtime.LockOSThread()
		var all, first unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			return err
		}
		for cpu := range len(all) * 64 {
			if all.IsSet(cpu) {
				first.Set(cpu)
				break
			}
		}
		if err := unix.SchedSetaffinity(0, &first); err != nil {
			return err
		}
		for range n {
			if err := fork(spin); err != 0 {
				return err
			}
		}
		fmt.Println("spinning")
		return stand("")
	},
	// hole reads so much of a file's hole at a time that it takes 50 ms, on a slow
	// machine too. No freezer interrupts that: it stands only when it comes back.
	"hole": func(string) error {
		fd, err := unix.MemfdCreate("hole", unix.MFD_CLOEXEC)
		if err != nil {
			return err
		}
		buf := make([]byte, 1<<20)
		if err := unix.Ftruncate(fd, 1<<30); err != nil {
			return err
		}
		long, mib := false, 1
		for err == nil {
			begin := time.Now()
			_, err = unix.Preadv(fd, slices.Repeat([][]byte{buf}, mib), 0)
			switch took := time.Since(begin); {
			case long:
			case took < 50*time.Millisecond && mib < 1024:
				mib *= 2
			default:
				long = true
				fmt.Println("reading")
			}
		}
		return err
	},
	// hop is never the same process for long: each forks the next and ends.
	"hop": func(string) error {
		fmt.Println("hopping")
		for {
			if pid, _, err := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); err != 0 || pid != 0 {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	},
	"stand": stand,
	// thaw waits for the first process in the frozen group ARG, says which program
	// it is executing or that it is the test itself, and thaws.
	"thaw": func(dir string) error {
		defer os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
		for end := time.Now().Add(check.Deadline - time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			pids := strings.Fields(string(b))
			if err != nil || len(pids) == 0 {
				continue
			}
			if slices.Contains(pids, strconv.Itoa(os.Getppid())) {
				fmt.Println("the test itself")
				return nil
			}
			exe, err := os.Readlink("/proc/" + pids[0] + "/exe")
			fmt.Println(exe)
			return err
		}
		fmt.Println("nothing")
		return nil
	},
}

// stand waits for ever, in the kernel: Go would end a process whose goroutines all wait.
func stand(string) error {
	for {
		unix.Ppoll(nil, nil, nil)
	}
}

// fork runs f, which never returns, in a child: one task, with none of Go's other
// threads. Nothing in it may ask the runtime whether to go on (go:nosplit): if the
// scheduler wanted this thread back just then, the child would wait for good for
// threads that it does not have.
//
//go:nosplit
func fork(f func()) unix.Errno {
	pid, _, err := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if err != 0 || pid != 0 {
		return err
	}
	f()
	return 0
}

//go:nosplit
func sleep() {
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

//go:nosplit
func spin() {
	unix.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 19)
	for {
	}
}

// helper ends the process if it is a helper.
func helper() {
	name, ok := strings.CutPrefix(os.Args[0], "test:")
	if !ok {
		return
	}
	os.Stdin.Read(make([]byte, 1))
	if err := helpers[name](os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		os.Exit(1)
	}
	os.Exit(0)
}
