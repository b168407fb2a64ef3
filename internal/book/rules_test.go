package book

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const given = "package x\n\n// T is documented.\ntype T struct{ A int }\n\nfunc (t *T) M() int { return t.A }\n"

func page(t *testing.T, text string) (*Page, string) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "solutions"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "chapters"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "x.go"), []byte(given), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "solutions", "x.go"), []byte(given), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "chapters", "09-p.md"), []byte(strings.ReplaceAll(text, "'''", "```")), 0o644))
	p, err := ReadPage(filepath.Join(root, "chapters", "09-p.md"))
	require.NoError(t, err)
	return p, root
}

func TestCheck_NamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"good page", "# A\n\n[x](#a) [y](09-p.md#a)\n\n'''go source=x.go symbol=T\ntype T struct{ A int }\n'''\n", ""},
		{"with its comment", "'''go source=x.go symbol=T doc\n// T is documented.\ntype T struct{ A int }\n'''\n", ""},
		{"stale code", "'''go source=x.go symbol=T\ntype T struct{ B int }\n'''\n", "chapters/09-p.md:1: T in x.go reads otherwise now"},
		{"unknown symbol", "'''go source=x.go symbol=U\n'''\n", "x.go has no U"},
		{"code from nowhere", "'''go\nx\n'''\n", "needs source=FILE"},
		{"reference too early", "'''go source=solutions/x.go symbol=(*T).M\nfunc (t *T) M() int { return t.A }\n'''\n", "only after *write it now*"},
		{"reference in its place", "## S\n\n**Write it now.**\n\n<details>\n\n'''go source=solutions/x.go symbol=(*T).M\nfunc (t *T) M() int { return t.A }\n'''\n\n</details>\n", ""},
		{"banned word", "This is Just it.\n", `chapters/09-p.md:1: "Just"`},
		{"dead link", "see [x](gone.md)\n", "leads nowhere"},
		{"dead anchor", "# A\n[x](#b)\n", "no such heading"},
		{"long prose", strings.Repeat("word word word\n", 250), "over 600 words"},
		{"a chapter without its parts", "# 9 X\n", `no section "The proof"`},
		{"session without command", "'''console\nhello\n'''\n", "without a command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, root := page(t, c.text)
			got := strings.Join(p.Check(root), "\n")
			if c.want == "" {
				for _, line := range strings.Split(got, "\n") {
					if !strings.Contains(line, "no section") { // these fixtures are no whole chapters
						assert.Empty(t, line)
					}
				}
			} else {
				assert.Contains(t, got, c.want)
			}
		})
	}
}

func TestUpdate_CutsCodeAnew(t *testing.T) {
	p, root := page(t, "before\n'''go source=x.go symbol=T\nold\nlines\n'''\nafter\n")
	text, err := p.Update(root)
	require.NoError(t, err)
	assert.Equal(t, "before\n```go source=x.go symbol=T\ntype T struct{ A int }\n```\nafter\n", text)
}

func TestStep_Run(t *testing.T) {
	p, _ := page(t, "'''console\n$ echo one; \\\n> echo two 17\none\ntwo ...\n$ seq 3\n1\n...\n$ false\n'''\n")
	steps := p.Blocks[0].Steps()
	require.Len(t, steps, 3)
	for _, s := range steps {
		assert.NoError(t, s.Run(t.Context(), t.TempDir(), nil))
	}
	steps[0].Want = "one\nthree\n"
	assert.ErrorContains(t, steps[0].Run(t.Context(), t.TempDir(), nil), "two 17")
}

func TestMatches(t *testing.T) {
	assert.True(t, Matches("a\n...\nz\n", "a\nb\nc\nz\n"))
	assert.True(t, Matches("a\n...\nz\n", "a\nz\n"))
	assert.True(t, Matches("pid ... here", "pid 12 here\n"))
	assert.False(t, Matches("a\n", "a\nb\n"))
	assert.False(t, Matches("pid ... here", "pid 12\nhere\n"))
	assert.True(t, Matches("", ""))
}
