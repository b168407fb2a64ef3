package box

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

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
