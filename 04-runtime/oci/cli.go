package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The command line is runc's, as far as engines call it (containerd/go-runc): flags
// before the command are global, those after it the command's own. What is said goes
// to stderr in one line, and to --log, where an engine reads why something failed.

// A command is one entry of the table. Its flags are in the FlagSet by the time it runs.
type command struct {
	args  string // "ID [SIGNAL]"
	short string
	min   int // how many arguments at least …
	max   int // … and at most; -1: any number
	flags func(*flag.FlagSet, *flags)
	run   func(*cli, *flags, []string) (status int, err error)
}

// flags are all that any command takes.
type flags struct {
	Options
	consoleSocket, process, format, resources     string
	cwd, user                                     string
	env, caps, gids                               list
	all, force, keep, detach, tty, noNewPrivs     bool
	stats, quiet, rootless, ignorePaused, ignored bool
	interval                                      time.Duration
	ignoredText                                   string
	update                                        updateFlags
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type cli struct {
	*Runtime
	name string
	out  io.Writer
	log  logger
}

// Version is what --version prints; engines look for the spec's.
const Version = "0.4.0"

// Main is the program: it runs one command and returns the exit status.
func Main(args []string) int {
	c := &cli{Runtime: new(Runtime), name: filepath.Base(args[0]), out: os.Stdout}
	c.Warn = func(msg string) { c.log.write("warning", msg) }
	slog.SetDefault(slog.New(warnTo(c.Warn)))
	status, err := c.main(args[1:])
	if err != nil {
		c.log.write("error", err.Error())
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
		if status == 0 {
			status = 1
		}
	}
	return status
}

func (c *cli) main(args []string) (int, error) {
	global := flag.NewFlagSet(c.name, flag.ContinueOnError)
	var systemd, version, ignored bool
	var logFile, format, ignoredText string
	global.StringVar(&c.Root, "root", defaultRoot(), "folder of the containers' state")
	global.StringVar(&logFile, "log", "", "file that errors are written to as well")
	global.StringVar(&format, "log-format", "text", "text or json")
	global.BoolVar(&systemd, "systemd-cgroup", false, "refused: see its message")
	global.BoolVar(&version, "version", false, "print the version")
	global.BoolVar(&version, "v", false, "print the version")
	global.BoolVar(&ignored, "debug", false, "taken for runc's sake")
	global.StringVar(&ignoredText, "rootless", "", "taken for runc's sake: it is found out")
	global.StringVar(&ignoredText, "criu", "", "taken for runc's sake")
	if status, err := c.parse(global, args, c.usage); err != nil || status >= 0 {
		return max(status, 0), err
	}
	if format != "text" && format != "json" {
		return 0, fmt.Errorf("--log-format %q: want text or json", format)
	}
	c.log = logger{file: logFile, json: format == "json"}
	args = global.Args()
	switch {
	case version || len(args) > 0 && args[0] == "version":
		fmt.Fprintf(c.out, "%s version %s\nspec: %s\n", c.name, Version, specs.Version)
		return 0, nil
	case len(args) == 0 || args[0] == "help":
		c.usage(c.out)
		return 0, nil
	case systemd:
		return 0, errors.New("--systemd-cgroup: groups are made without systemd here: start dockerd with --exec-opt native.cgroupdriver=cgroupfs, containerd with SystemdCgroup = false")
	}
	var err error
	if c.Root, err = filepath.Abs(c.Root); err != nil {
		return 0, err
	}
	cmd, ok := commands()[args[0]]
	if !ok {
		return 0, fmt.Errorf("there is no command %q: %s help lists them", args[0], c.name)
	}
	return c.command(args[0], cmd, args[1:])
}

func (c *cli) command(name string, cmd command, args []string) (int, error) {
	set, f := flag.NewFlagSet(name, flag.ContinueOnError), new(flags)
	if cmd.flags != nil {
		cmd.flags(set, f)
	}
	usage := func(w io.Writer) {
		fmt.Fprintf(w, "%s %s [flags] %s: %s\n", c.name, name, cmd.args, cmd.short)
		set.SetOutput(w)
		set.PrintDefaults()
	}
	if status, err := c.parse(set, args, usage); err != nil || status >= 0 {
		return max(status, 0), err
	}
	args = set.Args()
	if len(args) < cmd.min || cmd.max >= 0 && len(args) > cmd.max {
		return 0, fmt.Errorf("%s: %d arguments: want %s %s", name, len(args), name, cmd.args)
	}
	return cmd.run(c, f, args)
}

// parse parses quietly: an error is one line, help is asked for. Status -1: go on.
func (c *cli) parse(set *flag.FlagSet, args []string, usage func(io.Writer)) (int, error) {
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		usage(c.out)
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("%s: %w", set.Name(), err)
	}
	return -1, nil
}

func (c *cli) usage(w io.Writer) {
	fmt.Fprintf(w, "%s runs containers of OCI bundles.\n\n  %[1]s [--root DIR] [--log FILE] [--log-format text|json] COMMAND [flags] …\n\n", c.name)
	all := commands()
	for _, name := range order {
		fmt.Fprintf(w, "  %-9s %-24s %s\n", name, all[name].args, all[name].short)
	}
	fmt.Fprintf(w, "\n%s COMMAND --help lists a command's flags.\n", c.name)
}

func defaultRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && rootless() {
		return filepath.Join(dir, "coracle-runtime")
	}
	if os.Geteuid() != 0 {
		return fmt.Sprintf("/tmp/coracle-runtime-%d", os.Geteuid())
	}
	return "/run/coracle-runtime"
}

// A logger appends to --log, in logrus' formats: go-runc reads the last line that
// says error, and shows its msg.
type logger struct {
	file string
	json bool
}

func (l logger) write(level, msg string) {
	if l.file == "" {
		if level != "error" { // which Main prints
			fmt.Fprintf(os.Stderr, "%s: %s\n", level, msg)
		}
		return
	}
	f, err := os.OpenFile(l.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	now := time.Now().Format(time.RFC3339)
	if !l.json {
		fmt.Fprintf(f, "time=%q level=%s msg=%q\n", now, level, msg)
		return
	}
	json.NewEncoder(f).Encode(map[string]string{"level": level, "msg": msg, "time": now})
}
