package box

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cmd is one run of an applet.
type cmd struct {
	name   string // as called; every message starts with it
	usage  string // its arguments, from the table
	args   []string
	in     *os.File
	out    *bufio.Writer // flushed by exit
	status int
}

// Main runs the applet that argv names and does not return.
func Main(argv []string) {
	name := strings.TrimPrefix(filepath.Base(argv[0]), "-")
	args := argv[1:]
	if name == "box" {
		if len(args) == 0 || args[0] == "--list" {
			fmt.Println(strings.Join(Names(), "\n"))
			os.Exit(0)
		}
		argv, name, args = args, filepath.Base(args[0]), args[1:]
	}
	i, ok := slices.BinarySearchFunc(applets, name, func(a applet, n string) int { return strings.Compare(a.name, n) })
	if !ok {
		fmt.Fprintf(os.Stderr, "box: %s: no such applet (box --list names them)\n", name)
		os.Exit(127)
	}
	c := &cmd{name: name, usage: applets[i].usage, args: args, in: os.Stdin, out: bufio.NewWriterSize(os.Stdout, 32<<10)}
	if name == "sh" && strings.HasPrefix(argv[0], "-") {
		c.args = append([]string{"-l"}, args...) // login(1) marks a login shell this way
	}
	if os.Getenv("GOTRACEBACK") == "" {
		debug.SetTraceback("none") // below a pids limit the runtime may want one thread too many: say so in a line
	}
	if name != "sh" {
		endOnSignals()
	}
	applets[i].run(c)
	c.exit(c.status)
}

// Names lists the applets in alphabetical order.
func Names() []string {
	names := make([]string, len(applets))
	for i, a := range applets {
		names[i] = a.name
	}
	return names
}

// endOnSignals lets INT, TERM, HUP and QUIT end the process at once. Go's own
// handler raises the default action a moment later, in which a fork on another
// thread can still make a child that ^C then misses; so the kernel gets its
// default back. From PID 1 the kernel withholds that action, and we exit.
func endOnSignals() {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		switch {
		case os.Getpid() == 1:
			dieOn(sig)
		case !signal.Ignored(sig): // nohup's choice stands
			var deflt [4]uint64 // struct sigaction, zero is SIG_DFL
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&deflt)), 0, 8, 0, 0)
		}
	}
}

func dieOn(sig syscall.Signal) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, sig)
	go func() { <-ch; os.Exit(128 + int(sig)) }()
}

func (c *cmd) exit(status int) {
	if err := c.out.Flush(); err != nil && status == 0 {
		c.warn(err)
		status = 1
	}
	os.Exit(status)
}

// warn reports a failure and lets the applet go on to its next operand.
func (c *cmd) warn(err error) {
	c.out.Flush()
	fmt.Fprintf(os.Stderr, "%s: %s\n", c.name, why(err))
	if c.status == 0 {
		c.status = 1
	}
}

func (c *cmd) die(status int, format string, a ...any) {
	c.warn(fmt.Errorf(format, a...))
	c.exit(status)
}

// check ends the applet when err is not nil.
func (c *cmd) check(err error) {
	if err != nil {
		c.warn(err)
		c.exit(c.status)
	}
}

func (c *cmd) misuse() { c.die(2, "usage: %s %s", c.name, c.usage) }

// why words an error as `what: why`: the name of the system call helps nobody
// who typed `cat`.
func why(err error) string {
	var p *fs.PathError
	var l *os.LinkError
	var s *os.SyscallError
	switch {
	case errors.As(err, &p) && err == error(p):
		return p.Path + ": " + p.Err.Error()
	case errors.As(err, &l) && err == error(l):
		return l.Old + " to " + l.New + ": " + l.Err.Error()
	case errors.As(err, &s) && err == error(s):
		return s.Err.Error()
	}
	return err.Error()
}

// on names the operand that an error is about.
func on(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// open gives the file of that name, or standard input for "-".
func (c *cmd) open(name string) (*os.File, error) {
	if name == "-" {
		return c.in, nil
	}
	return os.Open(name)
}

// each calls f for every named file in turn, or for standard input.
func (c *cmd) each(names []string, f func(name string, r io.Reader) error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		file, err := c.open(name)
		if err == nil {
			err = f(name, file)
			if file != c.in {
				file.Close()
			}
		}
		if err != nil {
			c.warn(err)
		}
	}
}

// lines yields each line with its newline; only a last one may lack it.
func lines(r io.Reader) iter.Seq[string] {
	return func(yield func(string) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := br.ReadString('\n')
			if line != "" && !yield(line) || err != nil {
				return
			}
		}
	}
}
