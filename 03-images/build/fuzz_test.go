package build

import (
	"errors"
	"path"
	"strings"
	"testing"

	"coracle/internal/exercise"
)

// FuzzDockerfile: whatever the text is, it is planned, or refused in one line with
// the file and the line; and what is planned has absolute paths and a stable key.
func FuzzDockerfile(f *testing.F) {
	exercise.NeedAll(f)
	for _, text := range dockerfiles {
		f.Add(text, "joe")
	}
	for _, text := range []string{
		reproducible, "", "FROM", "FROM scratch\nRUN <<A <<B\nA\nB\n", "FROM a AS b\nFROM b AS a\nCOPY --from=b x y\n", "# escape=`\nFROM scratch\nRUN a `\n b\n",
		"ARG A=${B:-${C:+x}}\nFROM scratch$A\n", "FROM scratch\nENV A=${A:-${A:-${A}}} B\n", "FROM scratch\nCOPY <<E <<'F' /\n$X\nE\nF\n", "FROM scratch\nONBUILD COPY <<E /\nE\nE\n",
		"\ufeffFROM scratch\r\nRUN a\r\n", "FROM scratch\nHEALTHCHECK --retries=-1 CMD [\"\"]\n", "FROM scratch\nEXPOSE 0-65535/sctp\n", "FROM scratch\nADD --checksum=x a /\n",
		"FROM --platform=a/b/c/d scratch\nWORKDIR ../../..\nCOPY ../../x ../../../y/\n", "FROM scratch\nSHELL []\nRUN\n", "FROM scratch\nENV A=${B#*x} C=${D//a/b}\n",
		"FROM scratch\nRUN --network=host --mount=type=bind x\n", "FROM scratch\nCOPY --chmod=07777 --chown=$A:$B a /\n", "FROM scratch\nLABEL \"a b\"='c\\\nd'\n",
	} {
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, text, arg string) {
		steps, state, err := tryPlan(text, map[string]string{"A": arg, "WHO": arg})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(text, "\n")+2 || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("the error of %q: %q", text, err)
			}
			return
		}
		for i := range steps {
			s := &steps[i]
			if s.Kind == Copy && (!path.IsAbs(s.Dest) || path.Clean(s.Dest) != strings.TrimSuffix(s.Dest, "/") && s.Dest != "/") {
				t.Fatalf("the destination of %q: %q", s.Text, s.Dest)
			}
			if s.Kind != Copy && (!path.IsAbs(s.Dir) || path.Clean(s.Dir) != s.Dir) {
				t.Fatalf("the folder of %q: %q", s.Text, s.Dir)
			}
			if s.History >= len(state.Config.History) || state.Config.History[s.History].EmptyLayer {
				t.Fatalf("the history of %q: entry %d of %d", s.Text, s.History, len(state.Config.History))
			}
			for _, file := range s.Files {
				if strings.Contains(file.Name, "/") || file.Name == ".." || file.Name == "" {
					t.Fatalf("a file of %q: %q", s.Text, file.Name)
				}
			}
			if Key(parentKey, s, nil) != Key(parentKey, s, nil) {
				t.Fatalf("the key of %q changes", s.Text)
			}
		}
		if again, _, err := tryPlan(text, map[string]string{"A": arg, "WHO": arg}); err != nil || len(again) != len(steps) {
			t.Fatalf("a second time %q: %d steps, not %d, %v", text, len(again), len(steps), err)
		}
	})
}
