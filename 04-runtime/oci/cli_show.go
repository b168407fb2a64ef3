package oci

import (
	"encoding/json"
	"errors"
	"fmt"
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
