package check

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"coracle/internal/exercise"
)

// Deadline is how long a test waits for the kernel, a pipe or a watch: 5 s, and as
// many times that as CORACLE_SLOW says on a machine that is emulated.
var Deadline = 5 * time.Second * time.Duration(max(1, slow()))

func slow() int {
	n, _ := strconv.Atoi(os.Getenv("CORACLE_SLOW"))
	return n
}

// A Cause is a mistake that readers really make, and how a test knows it.
type Cause struct {
	When bool
	Is   string // the misconception, as the mistake's file words it
}

// Often names the likely cause when the condition holds; the first that holds is printed.
func Often(when bool, is string) Cause { return Cause{when, is} }

// Equal fails unless got equals want (testify's ObjectsAreEqual: by value, []byte
// by content).
func Equal(t testing.TB, did string, want, got any, causes ...Cause) {
	t.Helper()
	if !assert.ObjectsAreEqual(want, got) {
		fail(t, did, show(got), show(want), causes)
	}
}

// True fails unless cond holds; got and want say in words what came and what was wanted.
func True(t testing.TB, did string, cond bool, got, want string, causes ...Cause) {
	t.Helper()
	if !cond {
		fail(t, did, got, want, causes)
	}
}

// NoError fails if err is not nil.
func NoError(t testing.TB, did string, err error, causes ...Cause) {
	t.Helper()
	if err != nil {
		fail(t, did, Error(err), "no error", causes)
	}
}

// ErrorIs fails unless errors.Is(err, target).
func ErrorIs(t testing.TB, did string, err, target error, causes ...Cause) {
	t.Helper()
	if !errors.Is(err, target) {
		fail(t, did, Error(err), "an error that is "+Error(target), causes)
	}
}

// ErrorHas fails unless err is not nil and its text holds every part.
func ErrorHas(t testing.TB, did string, err error, parts []string, causes ...Cause) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			fail(t, did, Error(err), fmt.Sprintf("an error that names %q", part), causes)
		}
	}
}

// Within runs f and fails if it does not return before Deadline. f must not use
// t to fail (it runs on another goroutine); it returns what happened.
func Within[T any](t testing.TB, did, waitsFor string, f func() (T, error), causes ...Cause) (T, error) {
	t.Helper()
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-time.After(Deadline):
		fail(t, did, fmt.Sprintf("nothing for %v", Deadline), waitsFor, causes)
		panic("unreachable")
	}
}

// Eventually polls cond and fails if it does not hold before Deadline.
func Eventually(t testing.TB, did, waitsFor string, cond func() bool, causes ...Cause) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Deadline); ; <-tick.C {
		if cond() {
			return
		}
		if time.Now().After(end) {
			fail(t, did, fmt.Sprintf("not within %v", Deadline), waitsFor, causes)
		}
	}
}

// Error words an error with the name of its errno: "EPERM (operation not permitted): mount proc".
func Error(err error) string {
	if err == nil {
		return "no error"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := err.Error()
		return strings.Replace(text, errno.Error(), unix.ErrnoName(errno)+" ("+errno.Error()+")", 1)
	}
	return err.Error()
}

var unwritten = regexp.MustCompile(`\S+ is not written yet: exercise [0-9.]+, [^ ;]+`)

func fail(t testing.TB, did, got, want string, causes []Cause) {
	t.Helper()
	t.Fatal(message(t, did, got, want, causes))
}

func message(t testing.TB, did, got, want string, causes []Cause) string {
	lines := []string{}
	if first := unwritten.FindString(got); first != "" {
		lines = append(lines, cut(first, 99))
	} else if one := fmt.Sprintf("%s: got %s, want %s", did, got, want); len(one) < 80 && !strings.Contains(one, "\n") {
		lines = append(lines, one) // room is left for the file:line that testing puts before it
	} else {
		lines = append(lines, cut(did, 79), "  got:  "+fold(got), "  want: "+fold(want))
	}
	for _, c := range causes {
		if c.When {
			lines = append(lines, "  often this is: "+c.Is)
			break
		}
	}
	if e, ok := exercise.Current(t); ok {
		lines = append(lines, fmt.Sprintf("  read %s, or: ./lab hint %s", e.Page(), e.ID))
	}
	return strings.Join(lines, "\n")
}

// fold keeps a value to two lines, its middle left out.
func fold(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > 2 {
		lines = []string{lines[0] + " …", "… " + lines[len(lines)-1]}
	}
	for i := range lines {
		lines[i] = cut(lines[i], 300)
	}
	return strings.Join(lines, "\n        ")
}

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func show(v any) string {
	switch v := v.(type) {
	case error:
		return Error(v)
	case string:
		return fmt.Sprintf("%q", v)
	case uintptr, uint32, uint64:
		return fmt.Sprintf("%#x", v)
	}
	return fmt.Sprintf("%+v", v)
}
