package box

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func sortLines(c *cmd) {
	f := c.parse("n r u k: t:", 0)
	field, _, _ := strings.Cut(f["k"], ",")
	numeric, reverse := f.has("n"), f.has("r")
	if k := strings.TrimRight(field, "nr"); k != field {
		numeric, reverse, field = numeric || strings.Contains(field, "n"), reverse || strings.Contains(field, "r"), k
	}
	col := 0
	if f.has("k") {
		col = c.num(flags{"k": field}, "k", 0)
	}
	key := func(s string) string {
		if col == 0 {
			return s
		}
		parts := strings.Fields(s)
		if t, ok := f["t"]; ok {
			parts = strings.Split(s, t)
		}
		if col > len(parts) {
			return ""
		}
		return strings.Join(parts[col-1:], " ")
	}
	number := func(s string) float64 {
		s = strings.TrimSpace(s)
		end := 0
		for end < len(s) && strings.IndexByte("-.0123456789", s[end]) >= 0 {
			end++
		}
		n, _ := strconv.ParseFloat(s[:end], 64)
		return n
	}
	compare := func(a, b string) int {
		n := 0
		if numeric {
			n = cmp.Compare(number(key(a)), number(key(b)))
		}
		if n == 0 && (!numeric || !f.has("u")) {
			n = cmp.Or(strings.Compare(key(a), key(b)), strings.Compare(a, b))
		}
		if reverse {
			n = -n
		}
		return n
	}
	var all []string
	c.each(c.args, func(_ string, r io.Reader) error {
		for line := range lines(r) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
		return nil
	})
	slices.SortStableFunc(all, compare)
	if f.has("u") {
		all = slices.CompactFunc(all, func(a, b string) bool { return compare(a, b) == 0 })
	}
	for _, s := range all {
		fmt.Fprintln(c.out, s)
	}
}

func uniq(c *cmd) {
	f := c.parse("c d u", 0)
	last, n := "", 0
	flush := func() {
		if n == 0 || f.has("d") && n == 1 || f.has("u") && n > 1 {
			return
		}
		if f.has("c") {
			fmt.Fprintf(c.out, "%7d ", n)
		}
		fmt.Fprintln(c.out, last)
	}
	c.each(c.args, func(_ string, r io.Reader) error {
		for line := range lines(r) {
			if line = strings.TrimSuffix(line, "\n"); n > 0 && line == last {
				n++
				continue
			}
			flush()
			last, n = line, 1
		}
		return nil
	})
	flush()
}

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

// pattern compiles a POSIX expression. In a basic one (XBD 9.3) the operators
// are the escaped forms, the reverse of Go's syntax.
func (c *cmd) pattern(s string, extended, fixed, fold bool) *regexp.Regexp {
	switch {
	case fixed:
		s = regexp.QuoteMeta(s)
	case !extended:
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s) && strings.IndexByte("(){}|+?", s[i+1]) >= 0:
				i++
				b.WriteByte(s[i])
			case s[i] == '\\' && i+1 < len(s):
				b.WriteString(s[i : i+2])
				i++
			case strings.IndexByte("(){}|+?", s[i]) >= 0, s[i] == '*' && (i == 0 || s[i-1] == '^'):
				b.WriteString(`\` + s[i:i+1])
			default:
				b.WriteByte(s[i])
			}
		}
		s = b.String()
	}
	if fold {
		s = "(?i)" + s
	}
	re, err := regexp.Compile(s)
	if err != nil {
		c.die(2, "%s: %v", s, err)
	}
	return re
}

func grep(c *cmd) {
	f := c.parse("i v c n q r R l E F o w x e: H h s", 0)
	pat, ok := f["e"]
	if !ok {
		if len(c.args) == 0 {
			c.misuse()
		}
		pat, c.args = c.args[0], c.args[1:]
	}
	re := c.pattern(pat, f.has("E"), f.has("F"), f.has("i"))
	if f.has("w") {
		re = regexp.MustCompile(`\b(?:` + re.String() + `)\b`)
	} else if f.has("x") {
		re = regexp.MustCompile(`^(?:` + re.String() + `)$`)
	}
	names := c.args
	if f.has("r", "R") {
		names = nil
		if len(c.args) == 0 {
			c.args = []string{"."}
		}
		for _, root := range c.args {
			filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					names = append(names, path)
				} else if err != nil {
					c.warn(err)
				}
				return nil
			})
		}
		if len(names) == 0 {
			c.exit(1)
		}
	}
	prefixed := (len(names) > 1 || f.has("r", "R", "H")) && !f.has("h")
	found := false
	c.each(names, func(name string, r io.Reader) error {
		hits, no, prefix := 0, 0, ""
		if prefixed {
			prefix = name + ":"
		}
		for line := range lines(r) {
			no++
			line = strings.TrimSuffix(line, "\n")
			if re.MatchString(line) == f.has("v") {
				continue
			}
			hits++
			found = true
			if f.has("q") {
				c.exit(0)
			}
			if f.has("l", "c") {
				continue
			}
			at := prefix
			if f.has("n") {
				at += strconv.Itoa(no) + ":"
			}
			if !f.has("o") {
				fmt.Fprintln(c.out, at+line)
				continue
			}
			for _, m := range re.FindAllString(line, -1) {
				fmt.Fprintln(c.out, at+m)
			}
		}
		if f.has("l") && hits > 0 {
			fmt.Fprintln(c.out, name)
		} else if f.has("c") && !f.has("l") {
			fmt.Fprintf(c.out, "%s%d\n", prefix, hits)
		}
		return nil
	})
	switch {
	case c.status != 0:
		c.status = 2
	case !found:
		c.status = 1
	}
}

// sed knows substitution only: s/RE/TEXT/[g][p], with any delimiter.
func sed(c *cmd) {
	f := c.parse("n E r e:", 0)
	script, ok := f["e"]
	if !ok {
		if len(c.args) == 0 {
			c.misuse()
		}
		script, c.args = c.args[0], c.args[1:]
	}
	if len(script) < 2 || script[0] != 's' {
		c.die(2, "%s: only s/RE/TEXT/ is known", script)
	}
	part := strings.Split(script[2:], script[1:2])
	if len(part) != 3 {
		c.die(2, "%s: not s/RE/TEXT/", script)
	}
	re := c.pattern(part[0], f.has("E", "r"), false, strings.Contains(part[2], "i"))
	text := strings.ReplaceAll(part[1], "$", "$$")
	text = regexp.MustCompile(`\\([0-9])`).ReplaceAllString(text, `$${$1}`)
	text = strings.NewReplacer(`\&`, "&", "&", "${0}", `\n`, "\n", `\\`, `\`).Replace(text)
	c.each(c.args, func(_ string, r io.Reader) error {
		for line := range lines(r) {
			body, nl := strings.CutSuffix(line, "\n")
			done := false
			body = replace(re, body, text, strings.Contains(part[2], "g"), &done)
			for range btoi(!f.has("n")) + btoi(done && strings.Contains(part[2], "p")) {
				c.out.WriteString(body)
				if nl {
					c.out.WriteByte('\n')
				}
			}
		}
		return nil
	})
}

func replace(re *regexp.Regexp, s, text string, all bool, done *bool) string {
	n := 1
	if all {
		n = -1
	}
	var b []byte
	at := 0
	for _, m := range re.FindAllStringSubmatchIndex(s, n) {
		b = append(b, s[at:m[0]]...)
		b = re.ExpandString(b, text, s, m)
		at, *done = m[1], true
	}
	return string(b) + s[at:]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
