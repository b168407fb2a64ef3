package book

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// maxWords is how much prose may stand between two things to run.
const maxWords = 600

// parts are the headings (or their beginnings) of every numbered chapter but 0.
var parts = []string{"What you will have at the end", "The idea", "The proof", "What the real one does", "What is deliberately naive", "Questions"}

var (
	numbered = regexp.MustCompile(`^(\d\d)-.*\.md$`)
	banned   = regexp.MustCompile(`(?i)\b(simply|obviously|just)\b`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// Check returns everything that is wrong with a page besides its sessions, each
// as "file:line: what". root is the folder that sources and links are below.
func (p *Page) Check(root string) []string {
	var wrong []string
	say := func(line int, format string, args ...any) {
		rel, _ := filepath.Rel(root, p.Path)
		wrong = append(wrong, fmt.Sprintf("%s:%d: %s", rel, line, fmt.Sprintf(format, args...)))
	}
	for _, b := range p.Blocks {
		p.checkBlock(root, b, func(format string, args ...any) { say(b.Line, format, args...) })
	}
	chapter := numbered.FindStringSubmatch(filepath.Base(p.Path))
	isChapter := chapter != nil && filepath.Base(filepath.Dir(p.Path)) == "chapters"
	if isChapter && chapter[1] != "00" {
		for _, part := range parts {
			if !slices.ContainsFunc(p.Headings, func(h Heading) bool { return strings.HasPrefix(h.Text, part) }) {
				say(1, "no section %q", part)
			}
		}
	}
	words, fenced, since := 0, false, 1
	for i, line := range strings.Split(p.Text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "```") {
			fenced = !fenced
			if strings.HasPrefix(trimmed, "```console") {
				words, since = 0, i+1
			}
			continue
		}
		if fenced {
			continue
		}
		if m := banned.FindString(line); m != "" {
			say(i+1, "%q: say it without", m)
		}
		words += len(strings.Fields(line))
		if isChapter && words > maxWords {
			say(since, "over %d words follow with nothing to run", maxWords)
			words, since = 0, i+1
		}
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if err := p.follow(m[1]); err != nil {
				say(i+1, "%v", err)
			}
		}
	}
	return wrong
}

func (p *Page) checkBlock(root string, b Block, say func(string, ...any)) {
	switch b.Lang {
	case "":
		say("a block without a language: console, go, text …")
	case "go":
		if _, sketch := b.Options["sketch"]; sketch {
			return
		}
		file := b.Options["source"]
		if file == "" {
			say("a go block needs source=FILE symbol=NAME, or sketch")
			return
		}
		want, err := source(root, b)
		if err != nil {
			say("%v", err)
		} else if want != b.Body {
			say("%s in %s reads otherwise now: go test ./internal/book -update", b.Options["symbol"], file)
		}
		if strings.HasPrefix(file, "solutions/") && !(b.Written && b.Folded) {
			say("reference code stands only after *write it now*, inside <details>")
		}
	case "console":
		if len(b.Steps()) == 0 {
			say("a session without a command: a line that begins with \"$ \"")
		}
	}
}

// follow says whether a link of the page leads somewhere.
func (p *Page) follow(to string) error {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return nil
	}
	file, fragment, _ := strings.Cut(to, "#")
	target := p
	if file != "" {
		path := filepath.Join(filepath.Dir(p.Path), filepath.FromSlash(file))
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the link to %s leads nowhere", to)
		}
		if fragment == "" {
			return nil
		}
		var err error
		if target, err = ReadPage(path); err != nil {
			return err
		}
	}
	for _, h := range target.Headings {
		if h.Anchor == fragment {
			return nil
		}
	}
	return fmt.Errorf("the link to %s: no such heading", to)
}

// Update returns the page's text with the code of every go block cut anew.
func (p *Page) Update(root string) (string, error) {
	lines := strings.Split(p.Text, "\n")
	var out []string
	next := 0
	for _, b := range p.Blocks {
		if b.Lang != "go" || b.Options["source"] == "" {
			continue
		}
		text, err := source(root, b)
		if err != nil {
			return "", fmt.Errorf("%s:%d: %w", p.Path, b.Line, err)
		}
		out = append(out, lines[next:b.Line]...)
		out = append(out, strings.Split(strings.TrimRight(text, "\n"), "\n")...)
		next = b.Line + strings.Count(b.Body, "\n")
	}
	return strings.Join(append(out, lines[next:]...), "\n"), nil
}
