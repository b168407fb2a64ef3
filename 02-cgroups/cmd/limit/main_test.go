package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name, and the commands that it
// runs: what is tested is what was built, over whatever overlay.
func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "02-cgroups/cmd/limit", Cgroup: true, Reexec: func() {
		if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "test:") {
			commands[os.Args[1][5:]](os.Args[2])
			os.Exit(0)
		}
		if os.Args[0] == "limit" || os.Args[0] == "coracle-gate" {
			main()
		}
	}}))
}

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

// need skips the test while an exercise of the chapter is unwritten, and where
// limit cannot work.
func need(t testing.TB, features ...sandbox.Feature) {
	t.Helper()
	for _, e := range exercise.Of(2) {
		if !exercise.Written(e.ID) {
			t.Skipf("exercise %s (%s) is not written yet: open %s, read %s", e.ID, e.Title, e.File, e.Page())
		}
	}
	sandbox.Need(t, features...)
}

// program is limit with these flags, and one of the commands above with its argument.
func program(flags []string, command ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	cmd = exec.Command("/proc/self/exe", flags...)
	if len(command) > 0 {
		cmd.Args = append(cmd.Args, "--", "/proc/self/exe", "test:"+command[0], command[1])
	}
	cmd.Args[0] = "limit"
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, errs
	// A command that outlives limit must not hold the test up.
	cmd.WaitDelay = check.Deadline
	return cmd, out, errs
}

func limited(t *testing.T, flags []string, command ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd, out, errs := program(flags, command...)
	did := "limit " + strings.Join(cmd.Args[1:], " ")
	_, err := check.Within(t, did, "it to end", func() (int, error) { return 0, cmd.Run() })
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		check.NoError(t, did, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// groups lists what limit left in any hierarchy.
func groups(t *testing.T) string {
	t.Helper()
	var left []string
	filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "coracle-limit-") {
			left = append(left, p)
		}
		return nil
	})
	return strings.Join(left, " ")
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ") && !strings.Contains(string(b), ") X ")
}

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
	_, errs, status := limited(t, []string{"--cpus", "0.1", "--stats", "50ms"}, "burn", "60")
	wall := time.Since(begin)
	check.Equal(t, "the exit status", 0, status)
	check.True(t, "60 ms of work at a tenth of a CPU", wall > 400*time.Millisecond, wall.String(), "at least 400ms")
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

func TestLimit_BadInput(t *testing.T) {
	need(t)
	dir := t.TempDir()
	check.NoError(t, "write", os.WriteFile(dir+"/plain", nil, 0o644))
	check.NoError(t, "write", os.WriteFile(dir+"/garbage", []byte{0}, 0o755))
	cases := []struct {
		args []string
		want int
		says string
	}{
		{nil, 125, "no command"},
		{[]string{"--"}, 125, "no command"},
		{[]string{"--memory"}, 125, "memory"},
		{[]string{"--memory", "64Q", "--", "x"}, 125, `"64Q"`},
		{[]string{"--memory", "-1", "--", "x"}, 125, `"-1"`},
		{[]string{"--memory", "0", "--", "x"}, 125, `"0"`},
		{[]string{"--memory", "M", "--", "x"}, 125, `"M"`},
		{[]string{"--memory", "1.5G", "--", "x"}, 125, `"1.5G"`},
		{[]string{"--memory", "9999999999T", "--", "x"}, 125, "8 EiB"},
		{[]string{"--cpus", "-0.5", "--", "x"}, 125, `"-0.5"`},
		{[]string{"--cpus", "NaN", "--", "x"}, 125, `"NaN"`},
		{[]string{"--cpus", "0.0001", "--", "x"}, 125, "0.001"},
		{[]string{"--cpus", "1e99", "--", "x"}, 125, `"1e99"`},
		{[]string{"--cpus", "two", "--", "x"}, 125, `"two"`},
		{[]string{"--pids", "0", "--", "x"}, 125, `"0"`},
		{[]string{"--pids", "3.5", "--", "x"}, 125, `"3.5"`},
		{[]string{"--stats=soon", "--", "x"}, 125, `"soon"`},
		{[]string{"--stats=1ns", "--", "x"}, 125, "10ms"},
		{[]string{"--nosuch", "--", "x"}, 125, "nosuch"},
		{[]string{"--", "no-such-program"}, 127, "no-such-program"},
		{[]string{"--", dir + "/nowhere"}, 127, dir + "/nowhere"},
		{[]string{"--", dir + "/plain"}, 126, dir + "/plain"},
		{[]string{"--", dir}, 126, dir},
	}
	if sandbox.OwnGroup.Has() == nil {
		cases = append(cases, cases[0])
		cases[len(cases)-1].args, cases[len(cases)-1].want, cases[len(cases)-1].says = []string{"--", dir + "/garbage"}, 126, dir+"/garbage"
	}
	for _, c := range cases {
		_, errs, status := limited(t, c.args)
		did := "limit " + strings.Join(c.args, " ")
		check.Equal(t, "the exit status of "+did+" ("+strings.TrimSpace(errs)+")", c.want, status)
		check.True(t, "stderr of "+did, strings.HasPrefix(errs, "limit: ") && strings.Count(errs, "\n") == 1 && strings.Contains(errs, c.says),
			errs, "one line that holds "+c.says)
	}
	out, errs, status := limited(t, []string{"--help"})
	check.True(t, "limit --help", status == 0 && errs == "" && strings.Contains(out, "--memory"), out+errs, "the flags on stdout")
}

func TestLimit_NoGroupToBeHad(t *testing.T) {
	need(t)
	cmd := exec.Command("/proc/self/exe", "test:nogroup", "")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check.Within(t, "limit where every group is read-only", "it to end", func() (int, error) { return 0, cmd.Run() })
	check.Equal(t, "the exit status", 125, cmd.ProcessState.ExitCode())
	says := errs.String()
	check.True(t, "stderr", strings.HasPrefix(says, "limit: ") && strings.Count(says, "\n") == 1 && strings.Contains(says, "use root"), says, "one line that says how to get one")
}

// limits is what limit needs: a group and the controllers, of either version.
var limits = sandbox.Feature{
	Name: "memory, cpu and pids controllers of its own", Fix: "./lab vm test 2, or root",
	Has: func() error {
		if err := sandbox.OwnGroup.Has(); err != nil {
			return err
		}
		for _, c := range []string{"memory", "cpu", "pids"} {
			if err := sandbox.Controller(c).Has(); err != nil && unix.Access("/sys/fs/cgroup/"+c, unix.W_OK) != nil {
				return err
			}
		}
		return nil
	},
}
