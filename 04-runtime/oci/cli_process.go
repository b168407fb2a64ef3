package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// prepare connects to --console-socket and counts $LISTEN_FDS.
func (f *flags) prepare() (done func(), err error) {
	if pid := os.Getenv("LISTEN_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err == nil && n > 0 {
			f.Listen = n
			f.Preserve += n
		}
	}
	for fd := 3; fd < 3+f.Preserve; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("--preserve-fds: descriptor %d is not open", fd)
		}
	}
	if f.consoleSocket == "" {
		return func() {}, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f.Console = os.NewFile(uintptr(fd), f.consoleSocket)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: f.consoleSocket}); err != nil {
		return nil, fmt.Errorf("--console-socket %s: %w", f.consoleSocket, err)
	}
	return func() { f.Console.Close() }, nil
}

func (c *cli) create(f *flags, args []string) (int, error) {
	done, err := f.prepare()
	if err != nil {
		return 0, err
	}
	defer done()
	_, err = c.Create(args[0], f.Options)
	return 0, err
}

func (c *cli) run(f *flags, args []string) (int, error) {
	done, err := f.prepare()
	if err != nil {
		return 0, err
	}
	defer done()
	if f.detach {
		if _, err := c.Create(args[0], f.Options); err != nil {
			return 0, err
		}
		if err := c.Start(args[0]); err != nil {
			return 0, errors.Join(err, c.Delete(args[0], true))
		}
		return 0, nil
	}
	spec, _, err := readBundle(f.Bundle)
	if err != nil {
		return 0, err
	}
	terminal := spec.Process != nil && spec.Process.Terminal && f.Console == nil
	return c.Run(args[0], f.Options, terminal, f.keep)
}

// execFailed is runc's status for an exec that ran nothing.
const execFailed = 255

func (c *cli) exec(f *flags, args []string) (int, error) {
	status, err := c.execute(f, args)
	if err != nil {
		return execFailed, fmt.Errorf("exec failed: %w", err)
	}
	return status, nil
}

func (c *cli) execute(f *flags, args []string) (int, error) {
	p, err := c.process(f, args)
	if err != nil {
		return 0, err
	}
	done, err := f.prepare()
	if err != nil {
		return 0, err
	}
	defer done()
	if f.detach {
		_, err := c.Exec(args[0], p, f.Options)
		return 0, err
	}
	return foreground(p.Terminal && f.Console == nil, func(console *os.File) (int, error) {
		if console != nil {
			f.Console = console
		}
		return c.Exec(args[0], p, f.Options)
	}, func(error) error { return nil })
}

// process is what exec runs: --process, or the container's own with what the flags change.
func (c *cli) process(f *flags, args []string) (*specs.Process, error) {
	p := new(specs.Process)
	if f.process != "" {
		b, err := os.ReadFile(f.process)
		if err == nil {
			err = json.Unmarshal(b, p)
		}
		return p, wrap("--process "+f.process, err)
	}
	if len(args) < 2 {
		return nil, errors.New("name a command after the container's id, or a --process file")
	}
	one, err := c.load(args[0])
	if err != nil {
		return nil, err
	}
	spec, err := one.spec()
	if err != nil {
		return nil, err
	}
	*p = *spec.Process
	p.Args, p.Terminal = args[1:], f.tty
	p.Env = append(slices.Clip(p.Env), f.env...)
	p.NoNewPrivileges = p.NoNewPrivileges || f.noNewPrivs
	if f.cwd != "" {
		p.Cwd = f.cwd
	}
	if f.user != "" {
		uid, gid, both := strings.Cut(f.user, ":")
		n, err := strconv.ParseUint(uid, 10, 32)
		if err == nil {
			p.User.UID = uint32(n)
		}
		if both && err == nil {
			n, err = strconv.ParseUint(gid, 10, 32)
			p.User.GID = uint32(n)
		}
		if err != nil {
			return nil, fmt.Errorf("--user %q: want UID[:GID]", f.user)
		}
	}
	for _, g := range f.gids {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--additional-gids %q: want a number", g)
		}
		p.User.AdditionalGids = append(slices.Clip(p.User.AdditionalGids), uint32(n))
	}
	if len(f.caps) > 0 {
		caps := specs.LinuxCapabilities{}
		if p.Capabilities != nil {
			caps = *p.Capabilities
		}
		for _, set := range []*[]string{&caps.Bounding, &caps.Effective, &caps.Permitted} {
			*set = append(slices.Clip(*set), f.caps...)
		}
		p.Capabilities = &caps
	}
	return p, nil
}
