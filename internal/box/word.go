package box

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func echo(c *cmd) {
	end := "\n"
	if len(c.args) > 0 && c.args[0] == "-n" {
		c.args, end = c.args[1:], ""
	}
	c.out.WriteString(strings.Join(c.args, " ") + end)
}

func yes(c *cmd) {
	line := "y\n"
	if len(c.args) > 0 {
		line = strings.Join(c.args, " ") + "\n"
	}
	for {
		_, err := c.out.WriteString(line)
		c.check(err)
	}
}

func seq(c *cmd) {
	f := c.parse("+s: w", 1)
	sep := "\n"
	if s, ok := f["s"]; ok {
		sep = s
	}
	n := []int{1, 1, 0}
	at := map[int][]int{1: {2}, 2: {0, 2}, 3: {0, 1, 2}}[len(c.args)]
	for i, pos := range at {
		n[pos] = c.num(flags{"": c.args[i]}, "", 0)
	}
	if at == nil || n[1] == 0 {
		c.misuse()
	}
	var out []string
	for i := n[0]; n[1] > 0 && i <= n[2] || n[1] < 0 && i >= n[2]; i += n[1] {
		out = append(out, strconv.Itoa(i))
	}
	if len(out) > 0 {
		fmt.Fprintln(c.out, strings.Join(out, sep))
	}
}

func basename(c *cmd) {
	c.parse("+", 1)
	name := filepath.Base(c.args[0])
	if len(c.args) > 1 && name != c.args[1] {
		name = strings.TrimSuffix(name, c.args[1])
	}
	fmt.Fprintln(c.out, name)
}

func dirname(c *cmd) {
	c.parse("+", 1)
	for _, name := range c.args {
		if name != "" && strings.Trim(name, "/") == "" {
			name = "/"
		} else {
			name = filepath.Dir(strings.TrimRight(name, "/"))
		}
		fmt.Fprintln(c.out, name)
	}
}

func pwd(c *cmd) {
	dir, err := os.Getwd()
	c.check(err)
	fmt.Fprintln(c.out, dir)
}

func readlink(c *cmd) {
	f := c.parse("f n e", 1)
	for _, name := range c.args {
		to, err := os.Readlink(name)
		if f.has("f", "e") {
			to, err = realPath(name, f.has("e"))
		}
		if err != nil {
			c.warn(err)
			continue
		}
		if c.out.WriteString(to); !f.has("n") {
			c.out.WriteByte('\n')
		}
	}
}

func realpath(c *cmd) {
	f := c.parse("e", 1)
	for _, name := range c.args {
		to, err := realPath(name, f.has("e"))
		if err != nil {
			c.warn(err)
			continue
		}
		fmt.Fprintln(c.out, to)
	}
}

// realPath resolves every link; unless must, the last element need not exist.
func realPath(name string, must bool) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	to, err := filepath.EvalSymlinks(abs)
	if err == nil || must || !os.IsNotExist(err) {
		return to, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(dir, filepath.Base(abs)), err
}

func env(c *cmd) {
	f := c.parse("+i u:", 0)
	vars := os.Environ()
	if f.has("i") {
		vars = nil
	}
	for len(c.args) > 0 && strings.Contains(c.args[0], "=") {
		name, _, _ := strings.Cut(c.args[0], "=")
		vars = slices.DeleteFunc(vars, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		vars, c.args = append(vars, c.args[0]), c.args[1:]
	}
	if u, ok := f["u"]; ok {
		vars = slices.DeleteFunc(vars, func(v string) bool { return strings.HasPrefix(v, u+"=") })
	}
	if len(c.args) == 0 {
		for _, v := range vars {
			fmt.Fprintln(c.out, v)
		}
		return
	}
	path, err := lookPath(c.args[0])
	if err == nil {
		err = on(c.args[0], syscall.Exec(path, c.args, vars))
	}
	c.warn(err)
	c.status = 126
	if os.IsNotExist(err) || path == "" {
		c.status = 127
	}
}

// lookPath finds a command on PATH. exec.LookPath says the same in more words.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found", name)
}

func which(c *cmd) {
	c.parse("a", 1)
	for _, name := range c.args {
		path, err := lookPath(name)
		if err != nil {
			c.status = 1
			continue
		}
		fmt.Fprintln(c.out, path)
	}
}

func sleep(c *cmd) {
	c.parse("+", 1)
	var d time.Duration
	for _, a := range c.args {
		if a == "infinity" {
			a = "876000h"
		}
		d += c.duration(a)
	}
	time.Sleep(d)
}

func date(c *cmd) {
	f := c.parse("u d:", 0)
	now := time.Now()
	if d, ok := f["d"]; ok {
		sec, err := strconv.ParseInt(strings.TrimPrefix(d, "@"), 10, 64)
		if now = time.Unix(sec, 0); err != nil {
			c.die(2, "-d %s: only @SECONDS is known", d)
		}
	}
	if f.has("u") {
		now = now.UTC()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	if len(c.args) > 0 {
		format = c.args[0]
	}
	if format[:min(1, len(format))] != "+" {
		c.misuse()
	}
	fmt.Fprintln(c.out, strftime(format[1:], now))
}

// strftime knows the conversions below; any other stays as it is written.
func strftime(format string, t time.Time) string {
	return strings.NewReplacer("%%", "%", "%Y", t.Format("2006"), "%m", t.Format("01"), "%d", t.Format("02"),
		"%e", t.Format("_2"), "%H", t.Format("15"), "%M", t.Format("04"), "%S", t.Format("05"), "%N", fmt.Sprintf("%09d", t.Nanosecond()),
		"%a", t.Format("Mon"), "%A", t.Format("Monday"), "%b", t.Format("Jan"), "%B", t.Format("January"),
		"%Z", t.Format("MST"), "%z", t.Format("-0700"), "%s", strconv.FormatInt(t.Unix(), 10), "%y", t.Format("06"),
		"%j", t.Format("002"), "%F", t.Format("2006-01-02"), "%T", t.Format("15:04:05"), "%n", "\n").Replace(format)
}

func clear(c *cmd) { c.out.WriteString("\x1b[H\x1b[2J") }

func succeed(*cmd) {}

func fail(c *cmd) { c.status = 1 }

// fields reads a file of `key value…` lines such as those under /proc.
func fields(path string) (map[string][]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, s := map[string][]string{}, bufio.NewScanner(file)
	for s.Scan() {
		if key, rest, ok := strings.Cut(s.Text(), ":"); ok {
			m[key] = strings.Fields(rest)
		}
	}
	return m, s.Err()
}
