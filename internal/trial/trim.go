package trial

import (
	"regexp"
	"strings"
)

var (
	frame   = regexp.MustCompile(`^\t\S+\.go:\d+`)
	logLine = regexp.MustCompile(`^\S+\.go:\d+: `)
	passed  = regexp.MustCompile(`^\s*(--- PASS: |\S+\.go:\d+: \[rapid\] OK, )`)
	foreign = regexp.MustCompile(`^\t(/|\S*_test\.go|_testmain\.go|internal/)`)
)

// Trim leaves of a test's output what a person reads: no common indentation, nothing
// of subtests that passed, and of a stack trace only the frames of the checkout's own files.
func Trim(output string) string {
	lines := strings.Split(strings.Trim(output, "\n"), "\n")
	var kept []string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == "PASS", line == "FAIL", strings.HasPrefix(line, "=== "), strings.HasPrefix(line, "goroutine "), strings.HasPrefix(line, "created by "), passed.MatchString(line):
		case i+1 < len(lines) && frame.MatchString(lines[i+1]): // a function, then its place
			if i++; !foreign.MatchString(lines[i]) {
				place, _, _ := strings.Cut(strings.TrimSpace(lines[i]), " +0x")
				kept = append(kept, "  at "+place+", "+function(line))
			}
		case frame.MatchString(line):
		case line == "" && len(kept) > 0 && kept[len(kept)-1] == "":
		default:
			kept = append(kept, line)
		}
	}
	margin := -1
	for _, line := range kept {
		if text := strings.TrimLeft(line, " "); text != "" && (margin < 0 || len(line)-len(text) < margin) {
			margin = len(line) - len(text)
		}
	}
	logged := false
	for i, line := range kept {
		line = strings.TrimRight(line[min(max(margin, 0), len(line)):], " \t")
		switch {
		case logLine.MatchString(line):
			logged = true
		case logged && strings.HasPrefix(line, "    "): // testing indents what follows by four
			line = line[4:]
		default:
			logged = false
		}
		kept[i] = line
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n")
}

// function shortens "coracle/01-namespaces.Add(0x1, …)" to "01-namespaces.Add".
func function(call string) string {
	call = call[strings.LastIndexByte(call, '/')+1:]
	if i := strings.LastIndexByte(call, '('); i > 0 {
		call = call[:i]
	}
	return call
}

// Indent puts a margin before every line.
func Indent(text, margin string) string {
	return margin + strings.ReplaceAll(text, "\n", "\n"+margin)
}
