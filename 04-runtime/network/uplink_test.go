package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// Tun is the device that the programs hold their end of a wire by.
var Tun = sandbox.Feature{
	Name: "/dev/net/tun", Fix: "modprobe tun && chmod 666 /dev/net/tun",
	Has: func() error {
		f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err
	},
}

func TestUplink(t *testing.T) {
	for bin, pack := range map[string]string{"pasta": "passt", "slirp4netns": "slirp4netns"} {
		t.Run(bin, func(t *testing.T) {
			sandbox.Need(t, Tun, sandbox.Feature{Name: bin, Fix: "apt-get install " + pack, Has: func() error {
				_, err := exec.LookPath(bin)
				return err
			}})
			only(t, bin)
			nothingLeft(t)
			world := outside(t)
			greet(t, world, "203.0.113.2:80")
			echo(t, world, "udp", at("203.0.113.2", 80))
			agent := exec.Command("sleep", "60")
			agent.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
				UidMappings: []syscall.SysProcIDMap{{Size: 1}}, GidMappings: []syscall.SysProcIDMap{{Size: 1}},
			}
			check.NoError(t, "a process in namespaces", agent.Start())
			defer agent.Wait()
			defer agent.Process.Kill()
			ctx, cancel := context.WithTimeout(t.Context(), check.Deadline)
			defer cancel()
			u, err := StartUplink(ctx, agent.Process.Pid)
			check.NoError(t, "StartUplink", err)
			check.Equal(t, "Name", bin, u.Name)
			netns := fmt.Sprintf("/proc/%d/ns/net", agent.Process.Pid)
			c, err := DialIn(ctx, netns, "tcp", at("203.0.113.2", 80))
			check.NoError(t, "from the namespace to the outside", err)
			c.SetDeadline(time.Now().Add(check.Deadline))
			said, err := io.ReadAll(c)
			c.Close()
			check.NoError(t, "the answer", err)
			check.Equal(t, "the answer", "hello 203.0.113.1", string(said))
			hears(t, "from the namespace to the outside, udp", netns, "udp", at("203.0.113.2", 80), "203.0.113.1")
			check.NoError(t, "Close", u.Close())
		})
	}
}

// greet speaks first: Debian 12's pasta loses the end of a client that sends it together
// with its data.
func greet(t *testing.T, netns, addr string) {
	var l net.Listener
	check.NoError(t, "listen", in(netns, func() (err error) { l, err = net.Listen("tcp", addr); return err }))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "hello ", c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
}

// only leaves one program to be found.
func only(t *testing.T, bin string) {
	path, err := exec.LookPath(bin)
	check.NoError(t, bin, err)
	dir := t.TempDir()
	check.NoError(t, "link", os.Symlink(path, filepath.Join(dir, bin)))
	for _, tool := range []string{"ip", "sh", "nft", "sleep"} { // of the tests
		if path, err := exec.LookPath(tool); err == nil {
			os.Symlink(path, filepath.Join(dir, tool))
		}
	}
	t.Setenv("PATH", dir)
}

func TestUplink_Absent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartUplink(t.Context(), os.Getpid())
	check.True(t, "StartUplink with no program", errors.Is(err, ErrNoUplink), check.Error(err), check.Error(ErrNoUplink))
}
