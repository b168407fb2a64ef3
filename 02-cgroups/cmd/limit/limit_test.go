package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

func TestLimit_ExitStatus(t *testing.T) {
	need(t, limits)
	for _, c := range []struct {
		command, arg string
		want         int
	}{{"exit", "0", 0}, {"exit", "7", 7}, {"die", "15", 143}, {"die", "9", 137}} {
		_, errs, status := limited(t, []string{"--memory", "64M"}, c.command, c.arg)
		check.Equal(t, "the exit status of "+c.command+" "+c.arg, c.want, status)
		check.Equal(t, "stderr of "+c.command+" "+c.arg, "", errs)
	}
}

func TestLimit_InAGroupOfItsOwn(t *testing.T) {
	need(t, limits)
	out, _, _ := limited(t, []string{"--memory", "64M", "--pids", "50", "--cpus", "1.5"}, "where", "")
	n := 0
	for line := range strings.Lines(out) {
		part := strings.SplitN(line, ":", 3)
		for _, c := range []string{"memory", "pids", "cpu", ""} {
			if part[1] == c {
				n++
				check.True(t, "the command's line in /proc/self/cgroup", strings.Contains(line, "/coracle-limit-"), line, "a group of limit's")
			}
		}
	}
	check.True(t, "lines of /proc/self/cgroup", n > 0, out, "at least one that limit had to change")
	check.Equal(t, "groups after it", "", groups(t))
}

func TestLimit_OOMIsCalledSo(t *testing.T) {
	need(t, limits)
	_, errs, status := limited(t, []string{"--memory", "32M"}, "eat", "256")
	check.Equal(t, "the exit status", 137, status)
	check.True(t, "stderr", strings.HasPrefix(errs, "limit: OOM: ") && strings.Contains(errs, "32M") && strings.Count(errs, "\n") == 1,
		errs, "one line that says OOM and 32M")
	_, errs, status = limited(t, []string{"--memory", "32M"}, "parent", "256")
	check.True(t, "the exit status when a child was killed", status == 3 || status == 137, strconv.Itoa(status), "3 (v1), or 137: memory.oom.group")
	check.True(t, "stderr when a child was killed", strings.HasPrefix(errs, "limit: OOM: "), errs, "a line that says OOM")
	check.Equal(t, "groups after it", "", groups(t))
}

func TestLimit_CPUs(t *testing.T) {
	need(t, limits)
	begin := time.Now()
	_, errs, status := limited(t, []string{"--cpus", "0.1", "--stats", "50ms"}, "burn", "120")
	wall := time.Since(begin)
	check.Equal(t, "the exit status", 0, status)
	check.True(t, "120 ms of work at a tenth of a CPU", wall > 400*time.Millisecond, wall.String(), "at least 400ms")
	check.True(t, "what --stats 50ms prints", strings.Count(errs, " of 0.1 ") >= 3 && strings.Contains(errs, "throttled"), errs, "at least three lines with usage and throttling")
	check.True(t, "its last line", strings.HasPrefix(errs[strings.LastIndex(strings.TrimSpace(errs), "\n")+1:], "limit: total: "), errs, "the total")
}

func TestLimit_ForkBomb(t *testing.T) {
	need(t, limits)
	out, _, status := limited(t, []string{"--pids", "30"}, "bomb", "200")
	check.True(t, "a bomb of 200 with --pids 30", strings.HasSuffix(out, " EAGAIN\n"), out, "EAGAIN")
	check.Equal(t, "the exit status", 0, status)
	check.Equal(t, "groups after it", "", groups(t))
}

func TestLimit_LeavesNothing(t *testing.T) {
	need(t, limits)
	out, _, status := limited(t, []string{"--pids", "50"}, "tree", "")
	check.Equal(t, "the exit status", 0, status)
	check.True(t, "the daemon that the command left", !alive(number(strings.TrimSpace(out))), "alive", "ended with the group")
	check.Equal(t, "groups after it", "", groups(t))
}

func TestLimit_InsideOfLimit(t *testing.T) {
	need(t, limits)
	out, errs, _ := limited(t, []string{"--pids", "60", "--memory", "64M"}, "nest", "")
	n := 0
	for line := range strings.Lines(out) {
		if n = strings.Count(line, "/coracle-limit-"); n > 0 {
			break
		}
	}
	check.True(t, "the group of limit in limit", n == 2, out+errs, "one inside of the other")
	check.Equal(t, "groups after it", "", groups(t))
}

// Where limit is called from may hold processes; they are moved, and moved back.
func TestLimit_PutsTheCallerBack(t *testing.T) {
	need(t, sandbox.Controller("memory"), sandbox.Controller("pids"))
	top, err := sandbox.Group()
	check.NoError(t, "the tests' own group", err)
	dir := top + "/" + "coracle-shell" // not to be left upwards: it begins as our groups do
	check.NoError(t, "enable controllers", os.WriteFile(top+"/cgroup.subtree_control", []byte("+memory +pids"), 0))
	check.NoError(t, "make a group", os.Mkdir(dir, 0o755))
	defer hostgroup.Remove(dir)
	out, err := check.Within(t, "a shell that calls limit", "its end", func() ([]byte, error) { return exec.Command("/proc/self/exe", "test:shell", dir).Output() })
	check.NoError(t, "a shell that calls limit", err)
	check.Equal(t, "the caller's group, its subtree_control, what is below it, errors", `0::/coracle-shell "" 0 below <nil>`, string(out))
}

func TestLimit_ForwardsSignals(t *testing.T) {
	need(t, limits)
	cmd, _, _ := program([]string{"--pids", "50"}, "stand", "")
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start", cmd.Start())
	_, err = check.Within(t, "read from the command", "a line", func() (int, error) { return out.Read(make([]byte, 20)) })
	check.NoError(t, "read from the command", err)
	check.NoError(t, "SIGTERM", cmd.Process.Signal(syscall.SIGTERM))
	check.Within(t, "limit after SIGTERM", "its end", func() (int, error) { return 0, cmd.Wait() })
	check.Equal(t, "the exit status", 143, cmd.ProcessState.ExitCode())
	check.Equal(t, "groups after it", "", groups(t))
}

func TestLimit_NextStartCollectsAfterKill9(t *testing.T) {
	need(t, limits)
	cmd, _, _ := program([]string{"--pids", "50"}, "tree", "stand")
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start", cmd.Start())
	b := make([]byte, 20)
	n, err := check.Within(t, "read from the command", "a line", func() (int, error) { return out.Read(b) })
	check.NoError(t, "read from the command", err)
	daemon := number(strings.TrimSpace(string(b[:n])))
	check.NoError(t, "kill -9 limit", cmd.Process.Kill())
	cmd.Process.Wait()
	check.True(t, "what kill -9 leaves", groups(t) != "" && alive(daemon), "nothing", "a group and a daemon in it")
	_, errs, status := limited(t, []string{"--pids", "50"}, "exit", "0")
	check.Equal(t, "the next start", "0 ", fmt.Sprint(status, " ", errs))
	check.Equal(t, "groups after the next start", "", groups(t))
	check.Eventually(t, "the daemon after the next start", "its end", func() bool { return !alive(daemon) })
}
