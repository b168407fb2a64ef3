package screen

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A Screen is a writer and what it can show.
type Screen struct {
	io.Writer
	TTY           bool
	Color         bool
	Width, Height int
}

// New looks at f once; a resized terminal needs another call.
func New(f *os.File) *Screen {
	s := &Screen{Writer: f, Width: 80, Height: 24}
	s.TTY = term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	s.Color = s.TTY && os.Getenv("NO_COLOR") == ""
	if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
		s.Width, s.Height = w, h
	} else if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		s.Width = w
	}
	s.Width = max(s.Width, 40)
	return s
}

// A Style is how a piece of text looks, where colour is welcome.
type Style string

const (
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Paint returns the text in this style.
func (s *Screen) Paint(style Style, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Pad cuts or fills the text to n columns. Paint after padding, not before.
func Pad(text string, n int) string {
	if w := utf8.RuneCountInString(text); w < n {
		return text + strings.Repeat(" ", n-w)
	}
	return Cut(text, n)
}

// Cut shortens the text to at most n columns.
func Cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:max(n-1, 0)]) + "…"
	}
	return text
}

// Bar draws a share of a whole, n columns wide. Something is never drawn as
// nothing, nor nearly all as all.
func Bar(part, whole, n int) string {
	full := 0
	if whole > 0 {
		full = part * n / whole
	}
	if part > 0 && full == 0 {
		full = 1
	}
	return strings.Repeat("█", full) + strings.Repeat("░", n-full)
}

// Minutes words a duration for a person: "25 min", "3 h 10 min".
func Minutes(n int) string {
	if n < 60 {
		return strconv.Itoa(n) + " min"
	}
	if n%60 == 0 {
		return strconv.Itoa(n/60) + " h"
	}
	return strconv.Itoa(n/60) + " h " + strconv.Itoa(n%60) + " min"
}

// Wrap breaks text at blanks to lines of at most n columns; a longer word stays whole.
func Wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Fold breaks the lines that a terminal would break within a word, and indents
// what follows as the line was. In a pipe text stays as it is.
func (s *Screen) Fold(text string) string {
	if !s.TTY {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if utf8.RuneCountInString(line) > s.Width {
			margin := line[:len(line)-len(strings.TrimLeft(line, " "))]
			lines[i] = margin + strings.Join(Wrap(line, s.Width-len(margin)), "\n"+margin)
		}
	}
	return strings.Join(lines, "\n")
}
