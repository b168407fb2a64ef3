package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

func home() string {
	if os.Getuid() == 0 {
		return "/root"
	}
	return "/"
}

// failWith is a statement that sets $?.
func failWith(status int) *syntax.Stmt {
	f, _ := syntax.NewParser().Parse(strings.NewReader("(exit "+strconv.Itoa(status)+")"), "")
	return f.Stmts[0]
}

// builtin runs printf, test and [ as the shell does, in a process of their own.
func builtin(c *cmd) {
	file, err := syntax.NewParser().Parse(strings.NewReader(c.name+` "$@"`), "")
	c.check(err)
	r, err := interp.New(interp.StdIO(nil, c.out, &named{c}), interp.Params(append([]string{"--"}, c.args...)...))
	c.check(err)
	if exit := interp.ExitStatus(0); errors.As(r.Run(context.Background(), file), &exit) {
		c.status = int(exit)
	}
}

// named turns the interpreter's `line:column: why` into `applet: why`.
type named struct{ c *cmd }

func (n *named) Write(p []byte) (int, error) {
	msg := strings.TrimLeft(strings.TrimSpace(string(p)), "0123456789: ")
	n.c.warn(errors.New(strings.TrimPrefix(msg, n.c.name+": ")))
	return len(p), nil
}

// umask prints or sets the mask of the whole process, subshells included.
func umask(hc interp.HandlerContext, args []string) error {
	old := unix.Umask(0)
	unix.Umask(old)
	if len(args) == 0 {
		fmt.Fprintf(hc.Stdout, "%04o\n", old)
		return nil
	}
	n, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil || n > 0o777 {
		fmt.Fprintf(hc.Stderr, "umask: %s: not an octal mask\n", args[0])
		return interp.ExitStatus(1)
	}
	unix.Umask(int(n))
	return nil
}

// exported is the environment for a child.
func exported(env expand.Environ) []string {
	var list []string
	for name, v := range env.Each {
		list = slices.DeleteFunc(list, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		if v.IsSet() && v.Exported && v.Kind == expand.String {
			list = append(list, name+"="+v.String())
		}
	}
	return list
}
