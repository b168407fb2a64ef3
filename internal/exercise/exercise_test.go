package exercise

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func writeMe() error { return Unwritten("1.0") }

type thing struct{}

func (*thing) Do() error { return Unwritten("1.0") }

func TestUnwritten_NamesTheFunctionAndHowToBorrow(t *testing.T) {
	err := writeMe()
	assert.ErrorIs(t, err, ErrUnwritten)
	assert.Equal(t, "writeMe is not written yet: exercise 1.0, 01-namespaces/current.go; borrow it with ./lab run or ./lab test 1.0", err.Error())
	var u *UnwrittenError
	assert.True(t, errors.As((*thing)(nil).Do(), &u))
	assert.Equal(t, "(*thing).Do", u.Func)
}

func TestNeed_SkipsWhatIsMarkedAndRemembersTheRest(t *testing.T) {
	defer delete(marked, "1.0")
	t.Run("written", func(t *testing.T) {
		Need(t, "1.0")
		t.Run("sub", func(t *testing.T) {
			e, ok := Current(t)
			assert.True(t, ok)
			assert.Equal(t, "1.0", e.ID)
		})
	})
	Todo("1.0")
	var skipped bool
	t.Run("marked", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Need(t, "1.0")
		t.Error("it ran")
	})
	assert.True(t, skipped)
}

func TestSummary(t *testing.T) {
	t.Setenv("CORACLE_LAB", "")
	defer delete(marked, "1.0")
	Todo("1.0")
	var b strings.Builder
	Summary(&b, "01-namespaces")
	assert.Regexp(t, `^\d+ of \d+ written, next: 1\.0 \(\./lab test 1\.0\)\n$`, b.String())
}
