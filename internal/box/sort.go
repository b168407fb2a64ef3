package box

import (
	"cmp"
	"fmt"
	"io"
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
