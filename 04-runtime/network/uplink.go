package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoUplink is that no program is installed that could be one.
var ErrNoUplink = errors.New("no egress for an ordinary user: apt-get install passt, or slirp4netns")

// An Uplink is a program that gives a network namespace a way out where nobody may
// connect it to the machine's network: it plays the other end of the namespace's only
// wire, and does with sockets of its own, as any user may, what it reads there.
//
//	the machine's network                 the agent's namespaces
//	pasta ◀── sockets ──▶ the world       tap ◀── packets ──▶ masquerade ◀──▶ pods
//	  └──────────────── the same process holds the tap ──┘
//
// It is started by a process that is still outside of them.
type Uplink struct {
	Name string     // "pasta" or "slirp4netns"
	DNS  netip.Addr // leads to the resolver of the machine, also where that is 127.0.0.53
	stop context.CancelFunc
	done chan error
}

// StartUplink connects the namespaces of a process, and returns when there is a
// default route. Errors: ErrNoUplink, what the program said.
func StartUplink(ctx context.Context, pid int) (*Uplink, error) {
	u := &Uplink{done: make(chan error, 1)}
	var args []string
	if path, err := exec.LookPath("pasta"); err == nil {
		// No ports: it would take every one on which somebody listens. No way to the
		// 127.0.0.1 of the machine by the name of its gateway.
		u.Name, u.DNS = "pasta", netip.MustParseAddr("169.254.1.53")
		args = []string{path, "--foreground", "--quiet", "--config-net", "--no-map-gw", "--dns-forward", u.DNS.String(),
			"-t", "none", "-u", "none", "-T", "none", "-U", "none"}
		if os.Geteuid() == 0 {
			args = append(args, "--runas", "0") // it would become nobody, who may not enter
		}
		args = append(args, strconv.Itoa(pid))
	} else if path, err := exec.LookPath("slirp4netns"); err == nil {
		u.Name, u.DNS = "slirp4netns", netip.MustParseAddr("10.0.2.3")
		args = []string{path, "--configure", "--mtu=65520", "--disable-host-loopback", strconv.Itoa(pid), "tap0"}
	} else {
		return nil, ErrNoUplink
	}
	said := &strings.Builder{}
	run, stop := context.WithCancel(context.Background())
	u.stop = stop
	go func() {
		// It dies with the thread that started it (PR_SET_PDEATHSIG): with this one.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.CommandContext(run, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = said, said
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		u.done <- cmd.Run()
	}()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		select {
		case err := <-u.done:
			stop()
			return nil, fmt.Errorf("%s: %w: %s", u.Name, err, strings.TrimSpace(said.String()))
		case <-ctx.Done():
			u.Close()
			return nil, fmt.Errorf("%s: %w", u.Name, ctx.Err())
		default:
		}
		if hasDefaultRoute(pid) {
			return u, nil
		}
	}
}

// hasDefaultRoute reads a process's own view of its routes (proc(5), /proc/PID/net).
func hasDefaultRoute(pid int) bool {
	v4, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/route", pid))
	for line := range strings.Lines(string(v4)) {
		if f := strings.Fields(line); len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			return true
		}
	}
	v6, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/ipv6_route", pid))
	for line := range strings.Lines(string(v6)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == "00" && f[9] != "lo" {
			return true
		}
	}
	return false
}

// Close ends the program.
func (u *Uplink) Close() error {
	u.stop()
	<-u.done
	return nil
}
