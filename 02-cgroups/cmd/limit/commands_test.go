package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// commands are what limit is given to run, each with one argument.
var commands = map[string]func(arg string){
	"exit": func(arg string) { os.Exit(number(arg)) },
	"die": func(arg string) {
		syscall.Kill(os.Getpid(), syscall.Signal(number(arg)))
		stand()
	},
	"stand": func(string) { fmt.Println("standing"); stand() },
	"eat": func(arg string) {
		b := make([]byte, number(arg)<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(b)
	},
	"burn": func(arg string) {
		for used := int64(0); used < int64(number(arg))*1e6; {
			var ru unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &ru)
			used = ru.Utime.Nano() + ru.Stime.Nano()
		}
	},
	"bomb": func(arg string) {
		for n := range number(arg) {
			if _, err := fork(); err != 0 {
				fmt.Println(n, unix.ErrnoName(err))
				return
			}
		}
		fmt.Println("never refused")
	},
	// tree leaves a child in a session of its own behind, and says who it is.
	"tree": func(arg string) {
		pid, _ := fork()
		fmt.Println(pid)
		if arg == "stand" {
			stand()
		}
	},
	// parent's child is what the OOM killer gets on v1; on v2 both go.
	"parent": func(arg string) {
		cmd := exec.Command("/proc/self/exe", "test:eat", arg)
		cmd.Run()
		os.Exit(3)
	},
	// nogroup is limit where no group can be made.
	"nogroup": func(string) {
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.MountSetattr(unix.AT_FDCWD, "/sys/fs/cgroup", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
		if err == nil {
			err = syscall.Exec("/proc/self/exe", []string{"limit", "--memory", "64M", "--", "/proc/self/exe", "test:exit", "0"}, os.Environ())
		}
		fmt.Fprintln(os.Stderr, err)
	},
	// nest is limit again.
	"nest": func(string) {
		err := syscall.Exec("/proc/self/exe", []string{"limit", "--pids", "40", "--memory", "32M", "--", "/proc/self/exe", "test:where", ""}, os.Environ())
		fmt.Fprintln(os.Stderr, err)
	},
	// shell calls limit from the group ARG, which it is alone in, and says where it
	// is afterwards and what is in the group.
	"shell": func(dir string) {
		cmd, _, errs := program([]string{"--pids", "50", "--memory", "64M"}, "exit", "0")
		err := errors.Join(os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0), cmd.Run())
		own, _ := os.ReadFile("/proc/self/cgroup")
		enabled, _ := os.ReadFile(dir + "/cgroup.subtree_control")
		below, _ := filepath.Glob(dir + "/*/cgroup.procs")
		fmt.Printf("%s %q %d below %v%s", bytes.TrimSpace(own), enabled, len(below), err, errs)
	},
	"where": func(string) {
		b, _ := os.ReadFile("/proc/self/cgroup")
		os.Stdout.Write(b)
	},
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func stand() {
	for {
		unix.Ppoll(nil, nil, nil)
	}
}

// fork makes a child that stands still: raw system calls only.
func fork() (uintptr, unix.Errno) {
	pid, _, err := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if pid != 0 || err != 0 {
		return pid, err
	}
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
