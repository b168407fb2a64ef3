package check

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"coracle/internal/exercise"
)

// failure runs f against a recorder and returns what it said.
func failure(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != r {
				panic(p)
			}
		}()
		f(r)
	}()
	return r.said
}

type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper()        {}
func (r *recorder) Fatal(a ...any) { r.said = fmt.Sprint(a...); panic(r) }

func TestEqual_SaysGotWantAndCause(t *testing.T) {
	got := failure(t, func(tb testing.TB) {
		Equal(tb, "Flags(pid)", uintptr(0x20), uintptr(0x10), Often(false, "not this"), Often(true, "the wrong bit"), Often(true, "nor this"))
	})
	assert.Equal(t, "Flags(pid): got 0x10, want 0x20\n  often this is: the wrong bit", got)
	assert.Empty(t, failure(t, func(tb testing.TB) { Equal(tb, "x", 1, 1, Often(true, "never said")) }))
}

func TestMessage_StaysShort(t *testing.T) {
	long := strings.Repeat("a long line\n", 50) + strings.Repeat("x", 500)
	exercise.Need(t, "1.0")
	got := failure(t, func(tb testing.TB) { Equal(tb, strings.Repeat("did ", 50), long, long+"!", Often(true, "length")) })
	lines := strings.Split(got, "\n")
	assert.LessOrEqual(t, len(lines), 8)
	assert.Less(t, utf8.RuneCountInString(lines[0]), 100)
	assert.Contains(t, got, "chapters/01-namespaces.md#")
	assert.Contains(t, got, "./lab hint 1.0")
}

func TestError_NamesTheErrno(t *testing.T) {
	err := fmt.Errorf("mount proc: %w", syscall.EPERM)
	assert.Equal(t, "mount proc: EPERM (operation not permitted)", Error(err))
	assert.Equal(t, "no error", Error(nil))
	_, err = os.Open("/missing")
	assert.Contains(t, Error(err), "ENOENT")
}

func TestNoError_NamesTheUnwrittenPartFirst(t *testing.T) {
	err := fmt.Errorf("start: child: %s", exercise.Unwritten("1.0")) // as text, as it comes over a pipe
	got := failure(t, func(tb testing.TB) { NoError(tb, "Start", err) })
	first, _, _ := strings.Cut(got, "\n")
	assert.Contains(t, first, "is not written yet: exercise 1.0, 01-namespaces/current.go")
}

func TestErrorHas(t *testing.T) {
	assert.Empty(t, failure(t, func(tb testing.TB) { ErrorHas(tb, "x", errors.New("a and b"), []string{"a", "b"}) }))
	assert.Contains(t, failure(t, func(tb testing.TB) { ErrorHas(tb, "x", errors.New("a"), []string{"a", "b"}) }), `names "b"`)
	assert.Contains(t, failure(t, func(tb testing.TB) { ErrorHas(tb, "x", nil, []string{"a"}) }), "no error")
}

func TestWithin_EndsWithoutTheTestsTimeout(t *testing.T) {
	v, err := Within(t, "quick", "nothing", func() (int, error) { return 7, nil })
	assert.Equal(t, 7, v)
	assert.NoError(t, err)
	if testing.Short() {
		t.Skip("it waits for the deadline")
	}
	hang := make(chan struct{})
	got := failure(t, func(tb testing.TB) {
		Within(tb, "Start", "the child's answer", func() (int, error) { <-hang; return 0, nil }, Often(true, "nobody closed the pipe"))
	})
	close(hang)
	assert.Contains(t, got, "the child's answer")
	assert.Contains(t, got, "nobody closed the pipe")
}
