package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var order = []string{"create", "start", "run", "exec", "state", "list", "ps", "kill", "delete", "pause", "resume", "update", "events", "spec", "features"}

func commands() map[string]command {
	onID := func(f func(*Runtime, string) error) func(*cli, *flags, []string) (int, error) {
		return func(c *cli, _ *flags, args []string) (int, error) { return 0, f(c.Runtime, args[0]) }
	}
	return map[string]command{
		"create": {"ID", "make a container of a bundle, up to where its program would run", 1, 1, createFlags, (*cli).create},
		"start":  {"ID", "run the program of a created container", 1, 1, nil, onID((*Runtime).Start)},
		"run": {"ID", "create, start, wait, delete", 1, 1, func(s *flag.FlagSet, f *flags) {
			createFlags(s, f)
			s.BoolVar(&f.detach, "detach", false, "do not wait")
			s.BoolVar(&f.detach, "d", false, "do not wait")
			s.BoolVar(&f.keep, "keep", false, "do not delete it afterwards")
			s.BoolVar(&f.ignored, "no-subreaper", false, "taken for runc's sake")
		}, (*cli).run},
		"exec":  {"ID [COMMAND [ARG…]]", "run one more process in a container", 1, -1, execFlags, (*cli).exec},
		"state": {"ID", "print a container's state as JSON", 1, 1, nil, (*cli).state},
		"list": {"", "list containers", 0, 0, func(s *flag.FlagSet, f *flags) {
			formatFlag(s, f)
			s.BoolVar(&f.quiet, "quiet", false, "ids only")
			s.BoolVar(&f.quiet, "q", false, "ids only")
		}, (*cli).list},
		"ps": {"ID [PS-OPTION…]", "list a container's processes", 1, -1, formatFlag, (*cli).ps},
		"kill": {"ID [SIGNAL]", "send a signal (default: TERM) to a container's first process", 1, 2, func(s *flag.FlagSet, f *flags) {
			s.BoolVar(&f.all, "all", false, "to every process of it")
			s.BoolVar(&f.all, "a", false, "to every process of it")
		}, (*cli).kill},
		"delete": {"ID", "remove a container that has stopped", 1, 1, func(s *flag.FlagSet, f *flags) {
			s.BoolVar(&f.force, "force", false, "kill it first; one that there is none of is fine")
			s.BoolVar(&f.force, "f", false, "kill it first; one that there is none of is fine")
		}, (*cli).delete},
		"pause":    {"ID", "freeze every process of a container", 1, 1, nil, onID((*Runtime).Pause)},
		"resume":   {"ID", "thaw them", 1, 1, nil, onID((*Runtime).Resume)},
		"update":   {"ID", "change a container's limits", 1, 1, setUpdateFlags, (*cli).update},
		"events":   {"ID", "print a container's usage as JSON, again and again", 1, 1, eventsFlags, (*cli).events},
		"spec":     {"", "write a config.json to begin with", 0, 0, specFlags, (*cli).spec},
		"features": {"", "print what this runtime can do as JSON", 0, 0, nil, (*cli).features},
	}
}

func createFlags(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.Bundle, "bundle", ".", "folder with config.json")
	s.StringVar(&f.Bundle, "b", ".", "folder with config.json")
	s.BoolVar(&f.NoPivot, "no-pivot", false, "move the root instead of pivot_root, as on an initramfs")
	s.BoolVar(&f.NoKeyring, "no-new-keyring", false, "keep the caller's session keyring")
	processFlags(s, f)
}

func processFlags(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.consoleSocket, "console-socket", "", "unix socket that the terminal's master is sent to")
	s.StringVar(&f.PIDFile, "pid-file", "", "file that the process's PID is written to")
	s.IntVar(&f.Preserve, "preserve-fds", 0, "how many descriptors from 3 on are passed on")
}

func execFlags(s *flag.FlagSet, f *flags) {
	processFlags(s, f)
	for _, n := range []string{"process", "p"} {
		s.StringVar(&f.process, n, "", "file with the process as JSON, as in config.json")
	}
	for _, n := range []string{"detach", "d"} {
		s.BoolVar(&f.detach, n, false, "do not wait")
	}
	for _, n := range []string{"tty", "t"} {
		s.BoolVar(&f.tty, n, false, "with a terminal")
	}
	for _, n := range []string{"user", "u"} {
		s.StringVar(&f.user, n, "", "UID[:GID]")
	}
	for _, n := range []string{"env", "e"} {
		s.Var(&f.env, n, "NAME=value; may be repeated")
	}
	for _, n := range []string{"cap", "c"} {
		s.Var(&f.caps, n, "a capability more; may be repeated")
	}
	for _, n := range []string{"additional-gids", "g"} {
		s.Var(&f.gids, n, "a supplementary group; may be repeated")
	}
	s.StringVar(&f.cwd, "cwd", "", "working directory")
	s.BoolVar(&f.noNewPrivs, "no-new-privs", false, "set no_new_privs")
	s.BoolVar(&f.ignorePaused, "ignore-paused", false, "taken for runc's sake: a paused container is refused")
	s.StringVar(&f.ignoredText, "process-label", "", "taken for runc's sake")
	s.StringVar(&f.ignoredText, "apparmor", "", "taken for runc's sake")
}

func formatFlag(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.format, "format", "table", "table or json")
	s.StringVar(&f.format, "f", "table", "table or json")
}

func eventsFlags(s *flag.FlagSet, f *flags) {
	s.BoolVar(&f.stats, "stats", false, "once")
	s.DurationVar(&f.interval, "interval", 5*time.Second, "how often")
}

// console connects to --console-socket and counts $LISTEN_FDS.
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

// shown is a container as state and list print it, in runc's words.
type shown struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

func show(c *Container) shown {
	owner := strconv.Itoa(c.Owner)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	return shown{StateOf(*c, c.status(false)), c.Rootfs, c.CreatedAt, owner}
}

func (c *cli) state(_ *flags, args []string) (int, error) {
	one, err := c.load(args[0])
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return 0, enc.Encode(show(one))
}

func (c *cli) list(f *flags, _ []string) (int, error) {
	all, err := c.List()
	if err != nil {
		return 0, err
	}
	var rows []shown
	for _, one := range all {
		rows = append(rows, show(one))
	}
	switch {
	case f.quiet:
		for _, r := range rows {
			fmt.Fprintln(c.out, r.ID)
		}
		return 0, nil
	case f.format == "json":
		return 0, json.NewEncoder(c.out).Encode(rows)
	case f.format != "table":
		return 0, fmt.Errorf("--format %q: want table or json", f.format)
	}
	w := tabwriter.NewWriter(c.out, 0, 1, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", r.ID, r.Pid, r.Status, r.Bundle, r.Created.Format(time.RFC3339), r.Owner)
	}
	return 0, w.Flush()
}

// ps shows the PIDs as JSON, or what ps(1) says of them.
func (c *cli) ps(f *flags, args []string) (int, error) {
	pids, err := c.Processes(args[0])
	if err != nil {
		return 0, err
	}
	if f.format == "json" {
		return 0, json.NewEncoder(c.out).Encode(append([]int{}, pids...))
	}
	options := []string{"-ef"}
	if len(args) > 1 {
		options = args[1:]
	}
	out, err := exec.Command("ps", options...).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w (ps --format json does without the program)", err)
	}
	column := -1
	for i, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(l)
		if i == 0 {
			if column = slices.Index(fields, "PID"); column < 0 {
				return 0, errors.New("ps: no column PID in what it prints")
			}
			fmt.Fprintln(c.out, l)
		} else if len(fields) > column {
			if pid, err := strconv.Atoi(fields[column]); err == nil && slices.Contains(pids, pid) {
				fmt.Fprintln(c.out, l)
			}
		}
	}
	return 0, nil
}

func (c *cli) kill(f *flags, args []string) (int, error) {
	sig := unix.SIGTERM
	if len(args) > 1 {
		name := strings.ToUpper(args[1])
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n <= 64 {
			sig = unix.Signal(n)
		} else if sig = unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig == 0 {
			return 0, fmt.Errorf("there is no signal %q", args[1])
		}
	}
	return 0, c.Kill(args[0], sig, f.all)
}

func (c *cli) delete(f *flags, args []string) (int, error) {
	err := c.Delete(args[0], f.force)
	if f.force && errors.Is(err, ErrNotExist) {
		err = nil
	}
	return 0, err
}

// An event is what events prints, one a line, in runc's words.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

func (c *cli) events(f *flags, args []string) (int, error) {
	if f.interval <= 0 {
		return 0, fmt.Errorf("--interval %v: want more than 0", f.interval)
	}
	for {
		s, err := c.Usage(args[0])
		var over *OperationError
		if errors.As(err, &over) && over.Status == Stopped && !f.stats {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
		if err := json.NewEncoder(c.out).Encode(event{"stats", args[0], s}); err != nil || f.stats {
			return 0, err
		}
		time.Sleep(f.interval)
	}
}
