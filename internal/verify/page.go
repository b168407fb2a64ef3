package verify

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"

	"coracle/internal/exercise"
)

var (
	heading  = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	section  = regexp.MustCompile(`(?m)^## ([1-3])[ \t]*$`)
	block    = regexp.MustCompile("(?ms)^```\\w*\n(.*?)^```")
	sentence = regexp.MustCompile(`[.!?]["')\x60]*(\s|$)`)
)

// anchors returns the fragments of a page's headings as GitHub makes them: lower
// case, spaces to hyphens, punctuation dropped, repeats numbered.
func anchors(text []byte) []string {
	var as []string
	count := map[string]int{}
	fenced := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		m := heading.FindStringSubmatch(line)
		if fenced || m == nil {
			continue
		}
		a := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, linkText.ReplaceAllString(m[1], "$1"))
		if n := count[a]; n > 0 {
			as = append(as, fmt.Sprintf("%s-%d", a, n))
		} else {
			as = append(as, a)
		}
		count[a]++
	}
	return as
}

// hints: three, of one to two sentences, of words, and of a shape in code.
func (r *run) hints(e exercise.Exercise) {
	file := e.HintFile()
	text, err := os.ReadFile(r.Tree.Path(file))
	if err != nil {
		r.report.fail(file, "write it, with the headings ## 1, ## 2 and ## 3", "exercise %s has no hints", e.ID)
		return
	}
	parts := map[string]string{}
	at := section.FindAllSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		parts[string(text[m[2]:m[3]])] = strings.TrimSpace(string(text[m[1]:end]))
	}
	for _, n := range []string{"1", "2", "3"} {
		if parts[n] == "" {
			r.report.fail(file, "write it below ## "+n, "hint %s of exercise %s is missing", n, e.ID)
		}
	}
	if n := len(sentence.FindAllString(block.ReplaceAllString(parts["1"], ""), -1)); n > 2 {
		r.report.fail(file, "point to one experiment or man page", "hint 1 of exercise %s has %d sentences, want at most 2", e.ID, n)
	}
	code := block.FindStringSubmatch(parts["3"])
	if parts["3"] != "" && code == nil {
		r.report.fail(file, "show the shape in a block of Go", "hint 3 of exercise %s has no code", e.ID)
	} else if code != nil && strings.Count(code[1], "\n") > 15 {
		r.report.fail(file, "leave more holes", "hint 3 of exercise %s has %d lines of code, want at most 15", e.ID, strings.Count(code[1], "\n"))
	}
}
