package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Jail runs a test binary that is not trusted. The sandbox's outer process and
// its PID 1 are then the calling program, so that not one instruction of the
// binary, package initialisation included, runs outside.
//
// Caveat: what is hidden is covered by a mount, and a submission that is root in
// its namespaces can take a mount away. Whoever expects an attack and not only a
// trick runs the whole grading in a virtual machine.
type Jail struct {
	Bin    string   // absolute
	Cgroup bool     // a group of its own, where one can be made
	Memory int64    // bytes, of each process and of the group; 0: no limit
	Tasks  int      // of the group; 0: no limit
	CPU    int      // seconds of each process; 0: no limit
	Hide   []string // folders that are empty inside
}

const jailVar = "CORACLE_SANDBOX_JAIL"

// Command returns a run of the binary with these arguments. result becomes the
// descriptor of CORACLE_RESULT_FD in the tests. The environment is env alone.
func (j Jail) Command(ctx context.Context, result *os.File, env []string, args ...string) (*exec.Cmd, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = j.Bin
	cmd.Env = append(env, jailVar+"="+string(spec), resultFD+"=3")
	cmd.ExtraFiles = []*os.File{result}
	return cmd, nil
}

// Jailed is called first in the main function of a program that uses Jail. It
// returns true, and the status to exit with, if this process is a jail's.
func Jailed() (code int, is bool) {
	j, ok := jail()
	if !ok {
		return 0, false
	}
	if os.Getenv(stageVar) == "init" {
		runtime.LockOSThread()
		err := asInit()
		if err == nil {
			err = j.close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			return 125, true
		}
		return reap(j.Bin), true
	}
	code, err := outer(Options{Cgroup: j.Cgroup})
	if err != nil {
		fmt.Fprintln(os.Stderr, Cannot+"sandbox:", err)
		return 125, true
	}
	return code, true
}

func jail() (j Jail, ok bool) {
	text := os.Getenv(jailVar)
	return j, text != "" && json.Unmarshal([]byte(text), &j) == nil
}

// close hides folders and sets limits, which children inherit (setrlimit(2)).
func (j Jail) close() error {
	for _, dir := range j.Hide {
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			continue
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "size=4k,mode=755"); err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	limits := map[int]uint64{unix.RLIMIT_CORE: 0}
	if j.Memory > 0 {
		limits[unix.RLIMIT_DATA] = uint64(j.Memory)
	}
	if j.CPU > 0 {
		limits[unix.RLIMIT_CPU] = uint64(j.CPU)
	}
	for what, n := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("setrlimit %d: %w", what, err)
		}
	}
	// The way to the user's services is nobody's business inside.
	for _, v := range []string{jailVar, "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		os.Unsetenv(v)
	}
	return nil
}

// limit writes the group's limits where its hierarchies have the controller; the
// limits of each process hold everywhere.
func (g *group) limit() {
	j, ok := jail()
	if !ok {
		return
	}
	for _, dir := range g.Dirs {
		for file, n := range map[string]int64{"memory.max": j.Memory, "memory.limit_in_bytes": j.Memory, "pids.max": int64(j.Tasks)} {
			if _, err := os.Stat(filepath.Join(dir, file)); err == nil && n > 0 {
				os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(n, 10)), 0)
			}
		}
	}
}
