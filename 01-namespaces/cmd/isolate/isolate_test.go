package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestIsolate_AWorldOfItsOwn(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	flags = append(flags, "--hostname", "mine", "--env", "A=b", "--dir", "/tmp")
	out, errs, status := isolated(t, sh(flags, `
		read line; echo "$line $$ $(hostname) $(id -u) $A ${HOME} $(pwd) $(echo /proc/[0-9]*)"
		for kind in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$kind; done
		grep -E "^(NoNewPrivs|Seccomp|CapBnd):" /proc/self/status; cat /proc/net/dev | grep -c :; echo to stderr >&2; exit 7`)...)
	check.Equal(t, "the exit status of exit 7", 7, status)
	check.Equal(t, "stderr", "to stderr\n", errs)
	lines := strings.Split(out, "\n")
	check.True(t, "its input, PID, host name, id, environment, folder and processes",
		strings.HasPrefix(lines[0]+" ", "typed 1 mine 0 b /root /tmp /proc/1 "), lines[0], "typed 1 mine 0 b /root /tmp /proc/1 …")
	for i, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		mine, err := os.Readlink("/proc/self/ns/" + kind)
		check.NoError(t, "read my namespace", err)
		check.True(t, "its "+kind+" namespace", lines[1+i] != mine, "mine", "another")
	}
	check.True(t, "no_new_privs, seccomp and lo alone", strings.HasSuffix(out, "NoNewPrivs:\t1\nSeccomp:\t2\n1\n"), out, "NoNewPrivs 1, Seccomp 2, one device")
	check.True(t, "its bounding set", strings.Contains(out, "CapBnd:\t00000000a00425fb\n"), out, "the default 13: a00425fb")
}

func TestIsolate_Flags(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	host, err := os.Readlink("/proc/self/ns/net")
	check.NoError(t, "read my namespace", err)
	folder := t.TempDir()
	check.NoError(t, "write a file", os.WriteFile(folder+"/file", []byte("mine\n"), 0o644))
	for _, c := range []struct {
		flags        []string
		script, want string
	}{
		{[]string{"--net", "host"}, "readlink /proc/self/ns/net", host + "\n"},
		{[]string{"--no-seccomp"}, "grep ^Seccomp: /proc/self/status", "Seccomp:\t0\n"},
		{[]string{"--drop", "ALL", "--keep", "chown"}, "grep ^CapEff /proc/self/status", "CapEff:\t0000000000000001\n"},
		{[]string{"--drop", "all"}, "grep ^CapBnd /proc/self/status", "CapBnd:\t0000000000000000\n"},
		{[]string{"--bind", folder + ":/mnt:ro"}, "cat /mnt/file; touch /mnt/x 2>/dev/null || echo no", "mine\nno\n"},
		{[]string{"--bind", folder + ":/deep/er"}, "touch /deep/er/x && echo yes", "yes\n"},
		{[]string{"--bind", folder + "/file:/etc/file"}, "cat /etc/file", "mine\n"},
		{nil, "cat /proc/kcore 2>/dev/null | wc -c; (echo 1 > /proc/sys/kernel/printk) 2>/dev/null || echo no", "0\nno\n"},
	} {
		out, errs, status := isolated(t, sh(append(flags, c.flags...), c.script)...)
		check.Equal(t, fmt.Sprintf("isolate %v: %s", c.flags, c.script), c.want+"0", out+errs+fmt.Sprint(status))
	}
	if sandbox.CurrentMode() != sandbox.Single { // where other ids exist
		out, errs, _ := isolated(t, sh(append(flags, "--user", "1000:100"), "id -u; id -g; grep ^CapEff /proc/self/status")...)
		check.Equal(t, "isolate --user 1000:100", "1000\n100\nCapEff:\t0000000000000000\n", out+errs)
	}
}

func TestIsolate_ReadonlyRoot(t *testing.T) {
	needAll(t)
	root, flags := hostRoot(t)
	for i := 3; i+1 < len(flags); i += 2 { // a read-only root gets no mount points: make them before
		check.NoError(t, "make a folder", os.MkdirAll(filepath.Join(root, strings.Split(flags[i+1], ":")[0]), 0o755))
	}
	flags = append(flags[:2:2], flags[3:]...)
	out, _, _ := isolated(t, sh(flags, `touch /x 2>/dev/null || echo no; touch /tmp/x && echo yes; echo ok > /dev/null && echo null`)...)
	check.Equal(t, "writing to /, /tmp and /dev/null", "no\nyes\nnull\n", out)
	_, err := os.Stat(root + "/tmp/x")
	check.True(t, "the root's own /tmp", os.IsNotExist(err), "written to", "untouched")
}

func TestIsolate_SignalsAndStatus(t *testing.T) {
	needAll(t)
	sandbox.Need(t, sandbox.Feature{Name: "a shell that traps signals", Fix: "apt-get install dash", Has: func() error {
		return exec.Command("sh", "-c", "trap : USR1").Run()
	}})
	_, flags := hostRoot(t)
	begin := func(script string) (lines *bufio.Reader, signal func(syscall.Signal), wait func() int) {
		cmd := command(sh(flags, script)...)
		out, err := cmd.StdoutPipe()
		check.NoError(t, "make a pipe", err)
		check.NoError(t, "start isolate", cmd.Start())
		lines = bufio.NewReader(out)
		line, _ := check.Within(t, "isolate "+script, "the line ready", func() (string, error) { return lines.ReadString('\n') })
		check.Equal(t, "its first line", "ready\n", line)
		return lines, func(s syscall.Signal) { cmd.Process.Signal(s) }, func() int {
			check.Within(t, "isolate "+script, "it to end", func() (struct{}, error) { return struct{}{}, cmd.Wait() })
			return cmd.ProcessState.ExitCode()
		}
	}
	lines, signal, wait := begin(`sleep 1000 & trap 'echo got it; exit 3' USR1; echo ready; while :; do wait; done`)
	signal(syscall.SIGUSR1)
	line, _ := check.Within(t, "send SIGUSR1", "the trap's line", func() (string, error) { return lines.ReadString('\n') })
	check.Equal(t, "the line of its trap", "got it\n", line)
	check.Equal(t, "its status", 3, wait())

	_, signal, wait = begin(`sleep 1000 & echo ready; while :; do wait; done`)
	ended := make(chan int, 1)
	go func() { ended <- wait() }()
	status := 0
	// It ignores SIGTERM, having no handler; the third that is seen (equal signals may merge) is made SIGKILL.
	check.Eventually(t, "SIGTERM to a PID 1 that ignores it, again and again", "it to be killed", func() bool {
		signal(syscall.SIGTERM)
		select {
		case status = <-ended:
			return true
		default:
			return false
		}
	})
	check.Equal(t, "its status", 128+9, status)
}

// What nohup ignores stays ignored.
func TestIsolate_IgnoredHangup(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	cmd := command(sh(flags, "echo ready; read x; echo still here")...)
	in, err := cmd.StdinPipe()
	check.NoError(t, "make a pipe", err)
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start isolate", cmd.Start())
	lines := bufio.NewReader(out)
	check.Within(t, "isolate with SIGHUP ignored", "the line ready", func() (string, error) { return lines.ReadString('\n') })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	check.NoError(t, "read its signals", err)
	check.NoError(t, "hang up", cmd.Process.Signal(syscall.SIGHUP))
	in.Write([]byte("x\n"))
	line, _ := check.Within(t, "SIGHUP, then a line", "its answer", func() (string, error) { return lines.ReadString('\n') })
	check.Equal(t, "its answer", "still here\n", line)
	check.True(t, "the signals that isolate ignores", regexp.MustCompile(`SigIgn:\t\w*[13579bdf]\n`).Match(status), string(status), "SIGHUP among them")
	check.Within(t, "isolate", "it to end", func() (struct{}, error) { return struct{}{}, cmd.Wait() })
}

// Enter and ls see what runs, and nothing else.
func TestIsolate_EnterAndLs(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	cmd := command(sh(append(flags, "--name", "demo", "--hostname", "inside"), "echo ready; read x")...)
	in, err := cmd.StdinPipe()
	check.NoError(t, "make a pipe", err)
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start isolate", cmd.Start())
	check.Within(t, "isolate --name demo", "the line ready", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })

	var list string
	check.Eventually(t, "isolate ls", "demo and its command", func() bool {
		list, _, _ = isolated(t, "ls")
		return strings.Contains(list, "demo") && strings.Contains(list, "echo ready")
	})
	said, errs, status := isolated(t, "enter", "demo", "--env", "A=b", "--", "/bin/sh", "-c", `hostname; tr "\0" " " < /proc/1/cmdline | cut -c1-7; echo $A; grep -E "^(Seccomp|CapBnd):" /proc/self/status; exit 5`)
	check.Equal(t, "isolate enter demo", "inside\n/bin/sh\nb\nCapBnd:\t00000000a00425fb\nSeccomp:\t2\n5", said+errs+fmt.Sprint(status))
	_, errs, status = isolated(t, sh(append(flags, "--name", "demo"), "true")...)
	check.True(t, "a second --name demo", status == 125 && strings.Contains(errs, "is running"), errs, "125 and a line that says so")

	in.Close()
	check.Within(t, "close its input", "it to end", func() (struct{}, error) { return struct{}{}, cmd.Wait() })
	list, _, _ = isolated(t, "ls")
	check.True(t, "isolate ls afterwards", !strings.Contains(list, "demo"), list, "nothing")
	_, errs, status = isolated(t, "enter", "demo", "--", "true")
	check.True(t, "isolate enter demo afterwards", status == 125 && strings.Contains(errs, "demo"), errs, "125 and a line that says so")
}

// An ordinary user gets a user namespace, in which he is root.
func TestIsolate_Rootless(t *testing.T) {
	needAll(t)
	root, flags := hostRoot(t)
	check.NoError(t, "make a folder", os.Mkdir(root+"/mine", 0o755))
	args := sh(flags, `id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; touch /mine/x && echo yes; grep CapBnd: /proc/self/status`)
	if sandbox.CurrentMode() == sandbox.Single {
		t.Skip(sandbox.Cannot + "another user: this sandbox has one id; provide it with: ./lab doctor")
	}
	const uid = 54321 // who is in no /etc/subuid
	for dir := root; dir != os.TempDir(); dir = filepath.Dir(dir) {
		check.NoError(t, "open the way", os.Chmod(dir, 0o755))
	}
	filepath.Walk(root, func(p string, _ os.FileInfo, _ error) error { return os.Lchown(p, uid, uid) })
	cmd := command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := check.Within(t, "isolate as an ordinary user", "it to end", cmd.CombinedOutput)
	check.NoError(t, "isolate as an ordinary user, who said "+string(out), err)
	check.Equal(t, "its id, map, setgroups, a file that it makes, capabilities",
		fmt.Sprintf("0\n%10d %10d %10d\ndeny\nyes\nCapBnd:\t00000000a00425fb\n", 0, uid, 1), string(out))
}

// In a container of somebody else's the bounding set is not full, but that of a new
// user namespace is.
func TestIsolate_BelowABoundingSet(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	type result struct {
		out []byte
		err error
	}
	ran := make(chan result)
	go func() {
		runtime.LockOSThread() // which ends with this goroutine, and its bounding set with it
		for _, c := range []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				ran <- result{err: err}
				return
			}
		}
		out, err := command(sh(flags, "hostname; grep ^CapBnd /proc/self/status")...).CombinedOutput()
		ran <- result{out, err}
	}()
	r, _ := check.Within(t, "isolate without CAP_SYS_ADMIN in the bounding set", "it to end", func() (result, error) { return <-ran, nil })
	check.NoError(t, "isolate without CAP_SYS_ADMIN in the bounding set, which said "+string(r.out), r.err)
	check.Equal(t, "its host name and bounding set", "coracle\nCapBnd:\t00000000a00425fb\n", string(r.out))
}

// Whenever isolate is killed, nothing remains of what it started.
func TestIsolate_KillNine(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	before := left(t)
	for i := range 12 {
		cmd := command(sh(flags, "sleep 1000 & echo ready; wait")...)
		out, err := cmd.StdoutPipe()
		check.NoError(t, "make a pipe", err)
		check.NoError(t, "start isolate", cmd.Start())
		if i%4 == 0 {
			check.Within(t, "isolate", "the line ready", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })
		} else {
			// Somewhere in the handshake: the more processes have appeared, the later.
			for n := 0; n < i*150; n++ {
				unix.Getpid()
				os.ReadFile("/proc/self/stat")
			}
		}
		check.NoError(t, "kill -9", cmd.Process.Kill())
		cmd.Wait()
		did := fmt.Sprintf("kill -9 isolate, time %d", i)
		for end := time.Now().Add(check.Deadline); left(t) != before; time.Sleep(time.Millisecond) {
			check.True(t, did, time.Now().Before(end), left(t), "no process and no mount of it")
		}
	}
}

// A filter takes no_new_privs or CAP_SYS_ADMIN, so without the one it is installed
// while the other is still there.
func TestIsolate_FilterWithoutNoNewPrivs(t *testing.T) {
	needAll(t)
	sandbox.Need(t, sandbox.GainsPrivileges)
	file := filepath.Join(t.TempDir(), "spec.json")
	spec := `{"args":["/bin/sh","-c","grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"],"env":["PATH=/usr/bin:/bin"],
		"capabilities":[],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}`
	check.NoError(t, "write a spec", os.WriteFile(file, []byte(spec), 0o644))
	out, errs, status := isolated(t, "--spec", file)
	check.Equal(t, "its capabilities, no_new_privs and filter", "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n0", out+errs+fmt.Sprint(status))
}
