package box

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// flags holds the options given; one without a value maps to "".
type flags map[string]string

func (f flags) has(names ...string) bool {
	for _, n := range names {
		if _, ok := f[n]; ok {
			return true
		}
	}
	return false
}

// parse takes the options out of c.args. The spec lists them by name, "n:" with
// a value: one letter is -n, bundled as POSIX allows (XBD 12.2), more are --name.
// Options may follow operands, unless the spec starts with "+". Fewer than min
// operands is misuse.
func (c *cmd) parse(spec string, min int) flags {
	f, rest := flags{}, []string(nil)
	spec, inOrder := strings.CutPrefix(spec, "+")
	takes := map[string]bool{}
	for _, s := range strings.Fields(spec) {
		name, value := strings.CutSuffix(s, ":")
		takes[name] = value
	}
	args := c.args
	next := func(name string) string {
		if len(args) == 0 {
			c.die(2, "-%s: needs a value (usage: %s %s)", name, c.name, c.usage)
		}
		v := args[0]
		args = args[1:]
		return v
	}
	known := func(name string) bool {
		value, ok := takes[name]
		if !ok {
			c.die(2, "-%s: no such option (usage: %s %s)", name, c.name, c.usage)
		}
		return value
	}
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			rest, args = append(rest, args[1:]...), nil
			break
		}
		if len(a) < 2 || a[0] != '-' {
			if inOrder {
				break
			}
			rest, args = append(rest, a), args[1:]
			continue
		}
		args = args[1:]
		if name, ok := strings.CutPrefix(a, "--"); ok {
			name, v, given := strings.Cut(name, "=")
			if known(name) && !given {
				v = next(name)
			}
			f[name] = v
			continue
		}
		for a = a[1:]; a != ""; {
			name := a[:1]
			a = a[1:]
			if !known(name) {
				f[name] = ""
				continue
			}
			if a == "" {
				a = next(name)
			}
			f[name], a = a, ""
		}
	}
	c.args = append(rest, args...)
	if len(c.args) < min {
		c.misuse()
	}
	return f
}

// num is the option's whole number, or def when it was not given.
func (c *cmd) num(f flags, name string, def int) int {
	v, ok := f[name]
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		c.die(2, "-%s %s: not a number", name, v)
	}
	return n
}

// size reads bytes with an optional K, M or G (powers of 1024).
func (c *cmd) size(s string) int64 {
	unit := strings.TrimLeft(s, "0123456789")
	n, err := strconv.ParseInt(strings.TrimSuffix(s, unit), 10, 64)
	shift, ok := map[string]uint{"": 0, "B": 0, "K": 10, "M": 20, "G": 30}[strings.TrimSuffix(strings.ToUpper(unit), "IB")]
	if err != nil || !ok || n<<shift>>shift != n {
		c.die(2, "%s: not a size (such as 512, 64K, 1G)", s)
	}
	return n << shift
}

// duration reads seconds, or Go's form such as 1m30s.
func (c *cmd) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if sec, e := strconv.ParseFloat(s, 64); e == nil {
		d, err = time.Duration(sec*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		c.die(2, "%s: not a duration (such as 5, 0.5, 2m)", s)
	}
	return d
}

// human rounds bytes to three figures and a unit.
func human(n int64) string {
	f, unit := float64(n), 0
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	if unit == 0 || f >= 10 {
		return fmt.Sprintf("%.0f%s", f, "BKMGT"[unit:unit+1])
	}
	return fmt.Sprintf("%.1f%s", f, "BKMGT"[unit:unit+1])
}
