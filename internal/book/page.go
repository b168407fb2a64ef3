package book

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A Block is one fenced block of a page.
type Block struct {
	Lang    string            // first word of the info string
	Options map[string]string // the others: key=value, or key alone
	Body    string            // with its final newline
	Line    int               // of the opening fence, from 1
	Section string            // the nearest heading of level 2 above
	Written bool              // "Write it now" stands above it in its section
	Folded  bool              // inside <details>
}

// A Page is one file of the book.
type Page struct {
	Path     string
	Text     string
	Blocks   []Block
	Headings []Heading
}

// A Heading and its fragment as GitHub makes it.
type Heading struct {
	Level  int
	Text   string
	Anchor string
	Line   int
}

var option = regexp.MustCompile(`([a-z-]+)(?:=("[^"]*"|\S+))?`)

// ReadPage splits a page into its blocks and headings.
func ReadPage(path string) (*Page, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Path: path, Text: string(data)}
	var open *Block
	section, written, folded := "", false, false
	used := map[string]int{}
	for i, line := range strings.Split(p.Text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open != nil && trimmed == "```":
			p.Blocks = append(p.Blocks, *open)
			open = nil
		case open != nil:
			open.Body += line + "\n"
		case strings.HasPrefix(trimmed, "```"):
			lang, rest, _ := strings.Cut(strings.TrimPrefix(trimmed, "```"), " ")
			open = &Block{Lang: lang, Options: map[string]string{}, Line: i + 1, Section: section, Written: written, Folded: folded}
			for _, m := range option.FindAllStringSubmatch(rest, -1) {
				open.Options[m[1]] = strings.Trim(m[2], `"`)
			}
		case strings.HasPrefix(line, "#"):
			text := strings.TrimLeft(line, "#")
			h := Heading{len(line) - len(text), strings.TrimSpace(text), "", i + 1}
			h.Anchor = Anchor(h.Text)
			if n := used[h.Anchor]; n > 0 {
				h.Anchor = fmt.Sprintf("%s-%d", h.Anchor, n)
			}
			used[Anchor(h.Text)]++
			p.Headings = append(p.Headings, h)
			if h.Level <= 2 {
				section, written = h.Text, false
			}
			written = written || strings.EqualFold(h.Text, "Write it now")
		case strings.Contains(line, "<details"):
			folded = true
		case strings.Contains(line, "</details"):
			folded = false
		}
		written = written || open == nil && strings.Contains(strings.ToLower(line), "**write it now")
	}
	if open != nil {
		return nil, fmt.Errorf("%s:%d: the block is never closed", path, open.Line)
	}
	return p, nil
}

var dropped = regexp.MustCompile("[^\\p{L}\\p{N} _-]")

// Anchor returns the fragment of a heading: lower case, punctuation dropped,
// spaces as dashes.
func Anchor(heading string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
