package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// What runs is known by names in the kernel's table of abstract unix sockets
// (unix(7)), which this process binds and nobody talks to:
//
//	@coracle-isolate/UID/NAME        taken: a second bind of the same name fails
//	@coracle-isolate/UID/NAME/PID    runs, as PID
//
// The kernel removes them with the process, however it ends: there is no file to
// collect, and no directory that must be writable. They are names of a network
// namespace: whoever is in another one sees others.
const prefix = "coracle-isolate/"

// A name is one that this process holds until it ends.
type name string

// reserve takes a name; the empty one is taken when the PID is known.
func reserve(s string) (name, error) {
	if s == "" {
		return "", nil
	}
	if err := hold(s); errors.Is(err, unix.EADDRINUSE) {
		return "", fmt.Errorf("--name %s: one of that name is running (isolate ls)", s)
	} else if err != nil {
		return "", fmt.Errorf("--name %s: %w", s, err)
	}
	return name(s), nil
}

// announce adds the PID. That it could not be added only hides the program from ls.
func (n name) announce(pid int) {
	if n == "" {
		n = name(strconv.Itoa(pid))
	}
	hold(fmt.Sprintf("%s/%d", n, pid))
}

// hold binds a name and leaves the socket open: it is the claim.
func hold(s string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("@%s%d/%s", prefix, os.Geteuid(), s)})
}

// An entry is one running program.
type entry struct {
	name string
	pid  int
}

// running returns this user's programs, by name.
func running() ([]entry, error) {
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	var all []entry
	mine := fmt.Sprintf("@%s%d/", prefix, os.Geteuid())
	for line := range bytes.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimSpace(string(line)), mine)
		name, pid, both := strings.Cut(rest, "/")
		n, err := strconv.Atoi(pid)
		// Anyone can bind any name; only one's own processes count.
		if ok && both && err == nil && childOfMine(n) {
			all = append(all, entry{name, n})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// childOfMine says whether the parent of a process belongs to this user.
func childOfMine(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// "pid (command) state ppid …": the command may hold anything.
	after := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var st unix.Stat_t
	return len(after) > 1 && unix.Stat("/proc/"+after[1], &st) == nil && int(st.Uid) == os.Geteuid()
}

// list is `isolate ls`.
func list(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("ls takes no argument, got %q", args[0])
	}
	all, err := running()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tPID\tCOMMAND")
	for _, e := range all {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", e.pid))
		fmt.Fprintf(w, "%s\t%d\t%s\n", e.name, e.pid, strings.Join(strings.FieldsFunc(string(cmdline), func(r rune) bool { return r < ' ' }), " "))
	}
	return w.Flush()
}
