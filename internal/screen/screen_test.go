package screen

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBar_NeverLies(t *testing.T) {
	assert.Equal(t, "░░░░", Bar(0, 100, 4))
	assert.Equal(t, "█░░░", Bar(1, 100, 4), "something is not nothing")
	assert.Equal(t, "███░", Bar(99, 100, 4), "nearly all is not all")
	assert.Equal(t, "████", Bar(100, 100, 4))
	assert.Equal(t, "░░", Bar(0, 0, 2))
}

func TestText(t *testing.T) {
	assert.Equal(t, "ab…", Cut("abcd", 3))
	assert.Equal(t, "→x  ", Pad("→x", 4))
	assert.Equal(t, []string{"a bc", "defghi", "j"}, Wrap("a bc defghi j", 4))
	assert.Equal(t, "25 min", Minutes(25))
	assert.Equal(t, "2 h", Minutes(120))
	assert.Equal(t, "1 h 5 min", Minutes(65))
}

func TestNew_PipeHasNoColour(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	t.Setenv("COLUMNS", "61")
	s := New(w)
	assert.False(t, s.TTY)
	assert.Equal(t, "x", s.Paint(Red, "x"))
	assert.Equal(t, 61, s.Width)
}

func TestFold_BreaksBetweenWordsOnATerminalOnly(t *testing.T) {
	text := "short\n  a line of more words than fit\n\tcode"
	assert.Equal(t, text, (&Screen{Width: 20}).Fold(text), "a pipe keeps lines whole")
	assert.Equal(t, "short\n  a line of more\n  words than fit\n\tcode", (&Screen{TTY: true, Width: 20}).Fold(text))
}
