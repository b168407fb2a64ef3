package box

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// test is one primary of find's expression; it may print or act.
type test func(path string, d os.DirEntry) bool

// find knows the primaries below joined by and, -o and !, without parentheses.
func find(c *cmd) {
	args := c.args
	var roots []string
	for len(args) > 0 && args[0][0] != '-' && args[0] != "!" {
		roots, args = append(roots, args[0]), args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	minDepth, maxDepth, acts := 0, 1<<30, false
	var doomed []string
	next := func(of string) string {
		if args = args[1:]; len(args) == 0 {
			c.die(2, "%s: needs a value", of)
		}
		return args[0]
	}
	number := func(of string) int {
		return c.num(flags{of[1:]: next(of)}, of[1:], 0)
	}
	either, not := [][]test{nil}, false
	for ; len(args) > 0; args = args[1:] {
		var t test
		switch op := args[0]; op {
		case "!", "-not":
			not = !not
			continue
		case "-a":
			continue
		case "-o":
			either = append(either, nil)
			continue
		case "-maxdepth":
			maxDepth = number(op)
			continue
		case "-mindepth":
			minDepth = number(op)
			continue
		case "-name", "-iname", "-path":
			t = c.globTest(op, next(op))
		case "-type":
			kind, ok := map[string]os.FileMode{"f": 0, "d": os.ModeDir, "l": os.ModeSymlink, "p": os.ModeNamedPipe,
				"s": os.ModeSocket, "c": os.ModeDevice | os.ModeCharDevice, "b": os.ModeDevice}[next(op)]
			if !ok {
				c.die(2, "-type %s: not one of f d l p s c b", args[0])
			}
			t = func(_ string, d os.DirEntry) bool { return d.Type() == kind }
		case "-perm":
			s := next(op)
			n, err := strconv.ParseUint(strings.TrimLeft(s, "-/"), 8, 32)
			c.check(err)
			t = func(path string, d os.DirEntry) bool {
				fi, err := d.Info()
				if err != nil {
					return false
				}
				mode := uint64(fi.Sys().(*syscall.Stat_t).Mode & 0o7777)
				return s[0] == '-' && mode&n == n || s[0] == '/' && mode&n != 0 || mode == n
			}
		case "-print", "-print0":
			end := "\n"
			if op == "-print0" {
				end = "\x00"
			}
			acts = true
			t = func(path string, _ os.DirEntry) bool { c.out.WriteString(path + end); return true }
		case "-delete":
			acts = true
			t = func(path string, _ os.DirEntry) bool { doomed = append(doomed, path); return true }
		case "-exec":
			end := slices.IndexFunc(args, func(s string) bool { return s == ";" || s == "+" })
			if end < 2 {
				c.die(2, "-exec: needs a command and ';'")
			}
			argv := args[1:end]
			args, acts = args[end:], true
			t = func(path string, _ os.DirEntry) bool {
				c.out.Flush()
				var run []string
				for _, a := range argv {
					run = append(run, strings.ReplaceAll(a, "{}", path))
				}
				return c.run(run, nil) == 0
			}
		default:
			c.die(2, "%s: no such test", op)
		}
		if not {
			was := t
			t, not = func(p string, d os.DirEntry) bool { return !was(p, d) }, false
		}
		last := len(either) - 1
		either[last] = append(either[last], t)
	}
	for _, root := range roots {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				c.warn(err)
				return nil
			}
			depth := strings.Count(strings.TrimPrefix(path, root), "/")
			if path != root && depth == 0 { // root "/" or with a slash at its end
				depth = 1
			}
			if depth >= minDepth && slices.ContainsFunc(either, func(all []test) bool {
				return !slices.ContainsFunc(all, func(t test) bool { return !t(path, d) })
			}) && !acts {
				fmt.Fprintln(c.out, path)
			}
			if d.IsDir() && depth >= maxDepth {
				return filepath.SkipDir
			}
			return nil
		})
	}
	for _, path := range slices.Backward(doomed) { // what a directory holds goes before it
		if err := os.Remove(path); err != nil {
			c.warn(err)
		}
	}
}

func (c *cmd) globTest(op, glob string) test {
	if op == "-iname" {
		glob = strings.ToLower(glob)
	}
	if _, err := filepath.Match(glob, ""); err != nil {
		c.die(2, "%s %s: not a pattern", op, glob)
	}
	return func(path string, d os.DirEntry) bool {
		name := filepath.Base(path)
		switch op {
		case "-iname":
			name = strings.ToLower(name)
		case "-path": // here * matches slashes too
			name = strings.ReplaceAll(path, "/", "\x00")
			ok, _ := filepath.Match(strings.ReplaceAll(glob, "/", "\x00"), name)
			return ok
		}
		ok, _ := filepath.Match(glob, name)
		return ok
	}
}

// run executes argv and returns its status as a shell would put it in $?.
func (c *cmd) run(argv []string, stdin io.Reader) int {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode() & 0xff
	}
	if err != nil {
		c.warn(on(argv[0], errors.Unwrap(err)))
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return 127
		}
		return 126
	}
	return 0
}

func xargs(c *cmd) {
	f := c.parse("+n: 0 I: r t", 0)
	data, err := io.ReadAll(c.in)
	c.check(err)
	var items []string
	switch {
	case f.has("0"):
		items = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	case f.has("I"):
		items = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	default:
		items = strings.Fields(string(data))
	}
	if len(data) == 0 {
		if items = nil; f.has("r", "I") {
			return
		}
	}
	argv := c.args
	if len(argv) == 0 {
		argv = []string{"echo"}
	}
	n := max(1, c.num(f, "n", 1000))
	if f.has("I") {
		n = 1
	}
	for first := true; first || len(items) > 0; first = false {
		take := items[:min(n, len(items))]
		items = items[len(take):]
		run := slices.Concat(argv, take)
		if mark, ok := f["I"]; ok {
			run = slices.Clone(argv)
			for i := range run {
				run[i] = strings.ReplaceAll(run[i], mark, take[0])
			}
		}
		if f.has("t") {
			fmt.Fprintln(os.Stderr, strings.Join(run, " "))
		}
		switch status := c.run(run, nil); status {
		case 0:
		case 126, 127:
			c.exit(status)
		default:
			c.status = 123
		}
	}
}
