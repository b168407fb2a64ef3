package hostgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Prefix begins the name of every group that the workshop makes on a machine.
const Prefix = "coracle-"

// Name returns a name for a group that belongs to this process:
// "coracle-limit-4711-183220-4026531836" holds its pid, when it started (a pid is
// used again, the pair is not) and its PID namespace, because the tree may be
// shared with containers, where the same pid is somebody else.
func Name(kind string) string {
	start, _ := started(os.Getpid())
	return fmt.Sprintf("%s%s-%d-%d-%d", Prefix, kind, os.Getpid(), start, pidNamespace())
}

// abandoned says whether the owner of a group of this name is gone.
func abandoned(dir string) bool {
	part := strings.Split(strings.TrimPrefix(filepath.Base(dir), Prefix), "-")
	if len(part) != 4 {
		return false
	}
	pid, err1 := strconv.Atoi(part[1])
	start, err2 := strconv.ParseUint(part[2], 10, 64)
	ns, err3 := strconv.ParseUint(part[3], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return false
	}
	if ns != pidNamespace() {
		// The owner cannot be seen from here; a group that has been empty since
		// long before is nobody's.
		fi, err := os.Stat(dir)
		return err == nil && time.Since(fi.ModTime()) > time.Minute && len(processes(dir)) == 0
	}
	now, err := started(pid)
	return err != nil || now != start
}

// Collect removes every group on this machine whose owner was killed before it
// could, with the processes in it, and returns the folders. It needs no privilege
// to look; what it may not remove is in the error.
func Collect() (removed []string, err error) {
	all, err := Hierarchies()
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		more, err2 := collect(h.Mount, 16)
		removed, err = append(removed, more...), errors.Join(err, err2)
	}
	return removed, err
}

// CollectIn is Collect for the groups directly below dir.
func CollectIn(dir string) (removed []string, err error) { return collect(dir, 1) }

func collect(dir string, depth int) (removed []string, err error) {
	entries, _ := os.ReadDir(dir) // gone or unreadable: nothing of ours
	for _, e := range entries {
		sub := filepath.Join(dir, e.Name())
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), Prefix):
			if !abandoned(sub) {
				continue
			}
			if err2 := Remove(sub); err2 != nil {
				err = errors.Join(err, err2)
			} else {
				removed = append(removed, sub)
			}
		case depth > 1:
			more, err2 := collect(sub, depth-1)
			removed, err = append(removed, more...), errors.Join(err, err2)
		}
	}
	return removed, err
}

// Remove kills what is in a group and below it, of either version, and removes
// the folders, the deepest first. It gives up after five seconds.
func Remove(dir string) error {
	if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) { // empty, as most are
		return nil
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		write(dir, "cgroup.freeze", "0")
		write(dir, "freezer.state", "THAWED")
		if write(dir, "cgroup.kill", "1") != nil {
			for _, pid := range processes(dir) {
				if pid > 1 && pid != os.Getpid() {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		err := rmdirs(dir)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// rmdirs removes folders only: the files of a group are the kernel's.
func rmdirs(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := rmdirs(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT && err != unix.ENODEV {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// processes lists the pids in a group and below it. A process of another PID
// namespace reads as 0.
func processes(dir string) (pids []int) {
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			for _, w := range words(p, "cgroup.procs") {
				pid, _ := strconv.Atoi(w)
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// started returns field 22 of /proc/PID/stat (proc_pid_stat(5)). The second field
// is the program's name in brackets, which may itself hold brackets and spaces.
func started(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func pidNamespace() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return 0
	}
	return st.Ino
}
