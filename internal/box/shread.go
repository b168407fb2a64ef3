package box

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// errInterrupt is ^C at the prompt: the line so far is dropped.
var errInterrupt = errors.New("interrupted")

// input feeds the parser. On a terminal it edits lines, with history and
// completion; elsewhere it takes one byte at a time, for what follows a command
// belongs to the command.
type input struct {
	s       *shell
	term    *term.Terminal // nil without a terminal
	keys    *keys
	more    func() bool // the parser is inside a command
	pending []byte
	last    byte
	eof     bool
}

func (s *shell) newInput() *input {
	in := &input{s: s, last: '\n'}
	if s.interactive && term.IsTerminal(0) {
		in.keys = &keys{}
		in.term = term.NewTerminal(in.keys, "")
		in.term.History = &history{}
		in.term.AutoCompleteCallback = s.complete
	}
	return in
}

func (in *input) Read(p []byte) (int, error) {
	if in.eof {
		return 0, io.EOF
	}
	if len(in.pending) == 0 {
		prompt := in.s.prompt()
		if in.more != nil && in.more() {
			prompt = "> "
		}
		if in.term != nil {
			line, err := in.readLine(prompt)
			if err != nil {
				in.eof = err != errInterrupt
				return 0, err
			}
			in.pending = []byte(line + "\n")
		} else {
			if in.s.interactive && in.last == '\n' {
				fmt.Fprint(os.Stderr, prompt)
			}
			b := make([]byte, 1)
			if n, err := os.Stdin.Read(b); n == 0 {
				in.eof = true
				if in.last == '\n' {
					return 0, err
				}
				b[0] = '\n' // the parser runs a command when its line ends
			}
			in.pending, in.last = b, b[0]
		}
	}
	n := copy(p, in.pending)
	in.pending = in.pending[n:]
	return n, nil
}

// readLine edits one line. The terminal is raw meanwhile, but for OPOST: what
// a background job prints still gets its carriage returns.
func (in *input) readLine(prompt string) (string, error) {
	old, err := term.MakeRaw(0)
	if err != nil {
		return "", io.EOF
	}
	defer term.Restore(0, old)
	if t, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		t.Oflag |= unix.OPOST | unix.ONLCR
		unix.IoctlSetTermios(0, unix.TCSETS, t)
	}
	if w, h, err := term.GetSize(0); err == nil && w > 0 {
		in.term.SetSize(w, h)
	}
	in.term.SetPrompt(prompt)
	in.keys.interrupted = false
	line, err := in.term.ReadLine()
	if in.keys.interrupted {
		err = errInterrupt
	}
	return line, err
}

// keys is the terminal with ^C turned into "end of line, erase, enter".
type keys struct{ interrupted bool }

func (k *keys) Write(p []byte) (int, error) {
	_, err := os.Stderr.Write(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n"))) // OPOST adds the return
	return len(p), err
}

func (k *keys) Read(p []byte) (int, error) {
	n, err := os.Stdin.Read(p[:max(1, len(p)-8)])
	if i := slices.Index(p[:n], 3); i >= 0 {
		k.interrupted = true
		os.Stderr.WriteString("^C")
		return copy(p, "\x05\x15\r"), nil
	}
	return n, err
}

// history keeps the lines, newest last, without blanks and repeats.
type history struct{ lines []string }

func (h *history) Len() int        { return len(h.lines) }
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
func (h *history) Add(line string) {
	if strings.TrimSpace(line) != "" && (len(h.lines) == 0 || h.At(0) != line) {
		h.lines = append(h.lines, line)
	}
}

func (s *shell) prompt() string {
	if v, ok := s.r.Vars["PS1"]; ok && v.IsSet() {
		return v.String()
	}
	host, _ := os.Hostname()
	sign := "$"
	if os.Geteuid() == 0 {
		sign = "#"
	}
	return host + ":" + s.r.Dir + sign + " "
}

// complete extends the word before the cursor on Tab: a command at the start
// of the line, a path elsewhere, as far as all candidates agree.
func (s *shell) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := strings.LastIndexAny(line[:pos], " \t|;&") + 1
	word := line[start:pos]
	var found []string
	if strings.TrimSpace(line[:start]) == "" && !strings.Contains(word, "/") {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			list, _ := filepath.Glob(filepath.Join(dir, word+"*"))
			for _, path := range list {
				found = append(found, filepath.Base(path)+" ")
			}
		}
	} else {
		path := word
		if !strings.HasPrefix(word, "/") {
			path = s.r.Dir + "/" + word
		}
		list, _ := filepath.Glob(path + "*")
		for _, full := range list {
			end := " "
			if fi, err := os.Stat(full); err == nil && fi.IsDir() {
				end = "/"
			}
			found = append(found, word+full[len(path):]+end)
		}
	}
	if len(found) == 0 {
		return line, pos, true
	}
	common := found[0]
	for _, f := range found[1:] {
		for !strings.HasPrefix(f, common) {
			common = common[:len(common)-1]
		}
	}
	return line[:start] + common + line[pos:], start + len(common), true
}
