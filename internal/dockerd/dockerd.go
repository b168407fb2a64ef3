// Package dockerd starts a Docker Engine for a test, inside the test's sandbox.
//
// As real root an Engine runs in there: its containers' groups are below the tests'
// own, its data in TMPDIR, and what it insists on writing elsewhere, /run/docker and
// /etc/docker, are mounts of the sandbox that the host does not see. It has no
// bridge, and touches neither iptables nor ip_forward.
package dockerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// limit is how long one call of docker may take: the first run of a container loads
// all of containerd and runc.
const limit = time.Minute

// Installed is dockerd and docker, and the right to use them.
var Installed = sandbox.Feature{
	Name: "a Docker Engine of its own", Fix: "as root: apt-get install docker.io",
	Has: func() error {
		if sandbox.CurrentMode() != sandbox.Root {
			return errors.New("dockerd needs real root")
		}
		for _, p := range []string{"dockerd", "containerd", "runc", "docker"} {
			if _, err := exec.LookPath(p); err != nil {
				return err
			}
		}
		_, err := sandbox.Group()
		return err
	},
}

// An Engine is one that runs until the test ends.
type Engine struct {
	Host string // "unix:///…"
	t    testing.TB
	dir  string
}

// Start starts an Engine, with flags of dockerd besides its own, or skips the test
// where there can be none.
func Start(t testing.TB, flags ...string) *Engine {
	t.Helper()
	sandbox.Need(t, Installed)
	e := &Engine{t: t, dir: t.TempDir()}
	e.cover()
	sock := e.dir + "/sock"
	e.Host = "unix://" + sock
	log, err := os.Create(e.dir + "/log")
	check.NoError(t, "make a file for dockerd's log", err)
	cmd := exec.Command("dockerd", append(flags, "--data-root", e.dir+"/data", "--exec-root", e.dir+"/exec", "--pidfile", e.dir+"/pid", "--host", e.Host,
		"--bridge", "none", "--iptables=false", "--ip-masq=false", "--ip-forward=false", "--userland-proxy=false")...)
	cmd.Stdout, cmd.Stderr = log, log
	check.NoError(t, "start dockerd", cmd.Start())
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		unix.Unmount(e.dir+"/data", unix.MNT_DETACH) // left by one that had to be killed
		log.Close()
	})
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", sock)
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-ended:
			end = time.Time{}
		default:
		}
		said, _ := os.ReadFile(log.Name())
		check.True(t, "start dockerd", time.Now().Before(end), string(said[max(0, len(said)-500):]), "its socket within "+limit.String())
	}
	e.Docker("version") // answers once it serves
	return e
}

// cover mounts something to write to where an Engine writes whatever it is told.
func (e *Engine) cover() {
	upper, work := filepath.Join(e.dir, "etc"), filepath.Join(e.dir, "etc-work")
	for _, dir := range []string{upper, work} {
		check.NoError(e.t, "make a folder", os.Mkdir(dir, 0o755))
	}
	check.NoError(e.t, "mount /run", unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	e.t.Cleanup(func() { unix.Unmount("/run", unix.MNT_DETACH) })
	check.NoError(e.t, "mount /etc", unix.Mount("overlay", "/etc", "overlay", 0, fmt.Sprintf("lowerdir=/etc,upperdir=%s,workdir=%s", upper, work)))
	e.t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
}

// Command is docker with these arguments, speaking to this Engine.
func (e *Engine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	// The classic builder: the newer one is a plug-in that need not be installed.
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_CONFIG="+e.dir, "DOCKER_BUILDKIT=0")
	return cmd
}

// Docker runs docker and returns what it wrote to stdout; the test fails if it does.
func (e *Engine) Docker(args ...string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := e.Command(ctx, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	check.NoError(e.t, fmt.Sprintf("docker %q", args), err)
	return string(out)
}
