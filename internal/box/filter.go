package box

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

func cut(c *cmd) {
	f := c.parse("d: f: c: b: s", 0)
	list := f["f"] + f["c"] + f["b"]
	byField := f.has("f")
	var ranges [][2]int
	for _, s := range strings.Split(list, ",") {
		lo, hi, dash := strings.Cut(s, "-")
		a, err := strconv.Atoi(cmp.Or(lo, "1"))
		b := a
		if dash && hi == "" {
			b = 1 << 30
		} else if dash && err == nil {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || a < 1 {
			c.misuse()
		}
		ranges = append(ranges, [2]int{a, b})
	}
	sep := cmp.Or(f["d"], "\t")
	c.each(c.args, func(_ string, r io.Reader) error {
		for line := range lines(r) {
			line = strings.TrimSuffix(line, "\n")
			var parts, keep []string
			if byField {
				if parts = strings.Split(line, sep); len(parts) == 1 {
					if !f.has("s") {
						fmt.Fprintln(c.out, line)
					}
					continue
				}
			} else {
				parts = strings.Split(line, "")
			}
			for i, p := range parts {
				if slices.ContainsFunc(ranges, func(r [2]int) bool { return i+1 >= r[0] && i+1 <= r[1] }) {
					keep = append(keep, p)
				}
			}
			if !byField {
				fmt.Fprintln(c.out, strings.Join(keep, ""))
				continue
			}
			fmt.Fprintln(c.out, strings.Join(keep, sep))
		}
		return nil
	})
}

// runeSet expands tr's notation: ranges, escapes and the common classes.
func runeSet(s string) []rune {
	for class, is := range map[string]string{"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:digit:]": "0-9",
		"[:alpha:]": "A-Za-z", "[:alnum:]": "A-Za-z0-9", "[:space:]": " \t\n\r\f\v", "[:blank:]": " \t"} {
		s = strings.ReplaceAll(s, class, is)
	}
	in := []rune(strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`).Replace(s))
	var out []rune
	for i := 0; i < len(in); i++ {
		out = append(out, in[i])
		if i+2 < len(in) && in[i+1] == '-' {
			for r := in[i] + 1; r <= in[i+2]; r++ {
				out = append(out, r)
			}
			i += 2
		}
	}
	return out
}

func tr(c *cmd) {
	f := c.parse("d s c", 1)
	from := runeSet(c.args[0])
	var to []rune
	if len(c.args) > 1 {
		to = runeSet(c.args[1])
	}
	if len(to) == 0 && !f.has("d") && !f.has("s") {
		c.misuse()
	}
	last := rune(-1)
	for line := range lines(c.in) {
		for _, r := range line {
			i := slices.Index(from, r)
			hit := i >= 0
			if f.has("c") { // the complement has no order: all of it becomes the last of the second set
				hit, i = !hit, len(to)
			}
			if hit && f.has("d") {
				continue
			}
			if hit && len(to) > 0 {
				r = to[min(i, len(to)-1)]
			}
			if hit && f.has("s") && r == last {
				continue
			}
			last = r
			c.out.WriteRune(r)
		}
	}
}
