package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/dockerd"
)

// engine is a stock Docker Engine that knows this runtime, and an image with a shell.
func engine(t *testing.T) *dockerd.Engine {
	t.Helper()
	need(t, realRoot)
	d := dockerd.Start(t, "--add-runtime", "coracle="+runtimeFile(t), "--default-runtime", "coracle")
	root, err := base.Current()
	check.NoError(t, "find the base root", err)
	tar := exec.Command("tar", "-c", "-C", root, ".")
	tar.Stderr = os.Stderr
	out, err := tar.StdoutPipe()
	check.NoError(t, "tar", err)
	load := d.Command(context.Background(), "import", "-c", "ENV PATH=/bin", "-", "base")
	load.Stdin = out
	check.NoError(t, "start tar", tar.Start())
	said, err := load.CombinedOutput()
	check.NoError(t, "docker import: "+string(said), err)
	check.NoError(t, "tar", tar.Wait())
	return d
}

// docker runs docker and returns what it wrote, together, and its status.
func docker(t *testing.T, d *dockerd.Engine, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := d.Command(ctx, args...)
	var out, errs bytes.Buffer // two streams: which comes first, nobody promises
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return out.String() + errs.String(), cmd.ProcessState.ExitCode()
}

// Each is one `docker run`, as somebody would type it.
func TestDocker_Run(t *testing.T) {
	d := engine(t)
	folder := t.TempDir()
	check.NoError(t, "write a file", os.WriteFile(folder+"/file", []byte("mine\n"), 0o644))
	for _, c := range []struct {
		flags, script, want string
		status              int
	}{
		{"", "echo $$; id -u; exit 7", "1\n0\n", 7},
		{"--hostname box", "hostname", "box\n", 0},
		{"-m 64m", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true", "67108864\n", 0},
		{"--cpus 0.5", "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | cut -d' ' -f1", "50000\n", 0},
		{"--pids-limit 20", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true", "20\n", 0},
		{"--read-only --tmpfs /tmp", "touch /x 2>/dev/null || echo no; touch /tmp/x && echo yes", "no\nyes\n", 0},
		{"--cap-drop ALL", "grep -E '^Cap(Eff|Bnd):' /proc/self/status", "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n", 0},
		{"--cap-drop ALL --cap-add CHOWN", "grep ^CapEff: /proc/self/status", "CapEff:\t0000000000000001\n", 0},
		{"--user 1000:100", "id -u; id -g; grep ^CapEff: /proc/self/status; echo $HOME; echo err >/dev/stderr", "1000\n100\nCapEff:\t0000000000000000\n/\nerr\n", 0},
		{"-v " + folder + ":/mnt:ro", "cat /mnt/file; touch /mnt/x 2>/dev/null || echo no", "mine\nno\n", 0},
		{"--security-opt no-new-privileges", "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status", "NoNewPrivs:\t1\nSeccomp:\t2\n", 0},
		{"--ulimit nofile=100:200", "grep 'Max open files' /proc/1/limits | grep -o '200  *files' | tr -s ' '", "200 files\n", 0},
		{"--sysctl net.ipv4.ip_forward=1", "cat /proc/sys/net/ipv4/ip_forward", "1\n", 0},
		{"--init", "echo $(cat /proc/1/comm)", "docker-init\n", 0},
		{"--privileged", "ls /dev/kmsg; grep ^Seccomp: /proc/self/status", "/dev/kmsg\nSeccomp:\t0\n", 0},
		{"--pid host --ipc host --uts host", "[ $$ = 1 ] || echo other", "other\n", 0},
		{"-w /made/by/docker", "pwd", "/made/by/docker\n", 0},
		{"--oom-score-adj 300", "cat /proc/self/oom_score_adj", "300\n", 0},
		{"--device /dev/null:/dev/nix", "echo x > /dev/nix && ls /dev/nix", "/dev/nix\n", 0},
		{"--shm-size 1m", "grep ' /dev/shm ' /proc/mounts | grep -o size=1024k", "size=1024k\n", 0},
		{"-e A=b", "echo $A", "b\n", 0},
	} {
		if strings.HasPrefix(c.flags, "--init") {
			if _, err := exec.LookPath("docker-init"); err != nil {
				continue
			}
		}
		args := append(strings.Fields("run --rm --network none "+c.flags), "base", "sh", "-c", c.script)
		out, status := docker(t, d, args...)
		check.Equal(t, fmt.Sprintf("docker run %s: %s", c.flags, c.script), fmt.Sprintf("%s%d", c.want, c.status), fmt.Sprintf("%s%d", out, status))
	}
	for _, c := range []struct {
		program string
		status  int
		says    string
	}{
		{"no-such", 127, "executable file not found in $PATH"},
		{"/no/such", 127, "no such file or directory"},
		{"/etc/passwd", 126, "permission denied"},
	} {
		out, status := docker(t, d, "run", "--rm", "--network", "none", "base", c.program)
		check.True(t, "docker run base "+c.program, status == c.status && strings.Contains(out, c.says), fmt.Sprint(status, " ", out), fmt.Sprint(c.status, " ", c.says))
	}
}

// A container's life by an Engine.
func TestDocker_Life(t *testing.T) {
	d := engine(t)
	d.Docker("run", "-d", "--name", "one", "--network", "none", "-m", "64m", "base", "sh", "-c", "echo up; exec sleep 1000")
	out, status := docker(t, d, "exec", "-e", "N=2", "one", "sh", "-c", "echo $N")
	check.Equal(t, "docker exec", "2\n0", fmt.Sprint(out, status))
	out, status = docker(t, d, "exec", "-u", "1000", "-w", "/tmp", "one", "sh", "-c", "id -u; pwd; exit 9")
	check.Equal(t, "docker exec -u -w", "1000\n/tmp\n9", fmt.Sprint(out, status))
	out, status = docker(t, d, "exec", "one", "no-such")
	check.True(t, "docker exec one no-such", status == 127 || status == 126, fmt.Sprint(status, out), "127")
	top := d.Docker("top", "one")
	check.True(t, "docker top", strings.Contains(top, "sleep 1000"), top, "sleep 1000")

	d.Docker("pause", "one")
	check.Equal(t, "docker inspect, paused", "paused\n", d.Docker("inspect", "-f", "{{.State.Status}}", "one"))
	d.Docker("unpause", "one")
	check.Equal(t, "docker inspect, unpaused", "running\n", d.Docker("inspect", "-f", "{{.State.Status}}", "one"))
	check.Equal(t, "docker stats: its limit", "64MiB\n", strings.Split(d.Docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "one"), " / ")[1])
	d.Docker("update", "-m", "128m", "--memory-swap", "-1", "one")
	check.Equal(t, "docker stats after an update", "128MiB\n", strings.Split(d.Docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "one"), " / ")[1])
	d.Docker("stop", "one")
	check.Equal(t, "its log", "up\n", d.Docker("logs", "one"))
	check.Equal(t, "its exit code, by SIGTERM and not SIGKILL", "143\n", d.Docker("inspect", "-f", "{{.State.ExitCode}}", "one"))
	d.Docker("start", "one")
	d.Docker("pause", "one")
	d.Docker("kill", "one") // a frozen one dies too
	check.Equal(t, "its exit code when killed", "137\n", d.Docker("wait", "one"))
	d.Docker("rm", "one")
}

// Interactive: a terminal by the console socket.
func TestDocker_Terminal(t *testing.T) {
	d := engine(t)
	out, status := docker(t, d, "run", "--rm", "-t", "--network", "none", "base", "sh", "-c", "test -t 0 && test -t 2 && readlink /proc/self/fd/0; ls -l /dev/console | cut -c1; exit 4")
	check.True(t, "docker run -t", status == 4 && strings.Contains(out, "/dev/pts/0"), fmt.Sprint(status, " ", out), "4 and /dev/pts/0")
	cmd := d.Command(context.Background(), "run", "--rm", "-i", "--network", "none", "base", "sh")
	cmd.Stdin = strings.NewReader("echo a $((1+1))\nexit 5\n")
	said, _ := cmd.CombinedOutput()
	check.Equal(t, "docker run -i with a script on its input", "a 2\n5", fmt.Sprint(string(said), cmd.ProcessState.ExitCode()))
}
