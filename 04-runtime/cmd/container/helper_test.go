package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// helpers are what the test binary does in a container, as "/mnt/helper NAME".
var helpers = map[string]func() (status int){
	// descriptors lists those from 3 on that execve passed: those that Go opens itself
	// are closed by execve.
	"descriptors": func() int {
		entries, _ := os.ReadDir("/proc/self/fd")
		for _, e := range entries {
			fd, _ := strconv.Atoi(e.Name())
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); fd > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 {
				fmt.Println(fd, to)
			}
		}
		return 0
	},
	// overwrite holds the file of a process that executes the runtime, waits until
	// nothing executes it, since that alone would refuse writing, and writes.
	"overwrite": func() int {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			line, _ := os.ReadFile(dir + "/cmdline")
			if !strings.HasPrefix(string(line), "coracle-container") {
				continue
			}
			fd, err := unix.Open(dir+"/exe", unix.O_RDONLY, 0)
			if err != nil {
				fmt.Println(err)
				return 4
			}
			pid, _ := strconv.Atoi(filepath.Base(dir))
			unix.Kill(pid, unix.SIGKILL)
			for range 500 {
				var w int
				if w, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY, 0); err == nil {
					_, err = unix.Write(w, []byte("Z"))
				}
				if err != unix.ETXTBSY {
					break
				}
				unix.Nanosleep(&unix.Timespec{Nsec: 10e6}, nil)
			}
			fmt.Println(err)
			return 0
		}
		fmt.Println("there is no process to attack")
		return 3
	},
}

// helper makes a bundle run one of the helpers.
func (n *node) helper(name string) func(*specs.Spec) {
	file := runtimeFile(n.t)
	for dir := filepath.Dir(file); dir != os.TempDir(); dir = filepath.Dir(dir) {
		check.NoError(n.t, "open the way", os.Chmod(dir, 0o755))
	}
	return func(s *specs.Spec) {
		check.NoError(n.t, "name the helper", os.Rename(file, filepath.Dir(file)+"/helper"))
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: filepath.Dir(file), Options: []string{"bind", "ro"}})
		s.Process.Args = []string{"/mnt/helper", name}
	}
}
