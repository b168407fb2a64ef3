package remote

import (
	"errors"
	"io"
	"testing"
	"time"

	"coracle/internal/check"
)

func TestPipe_IsBounded(t *testing.T) {
	p := newPipe(10)
	wrote := make(chan int, 3)
	go func() {
		n, _ := p.Write([]byte("0123456789"))
		wrote <- n
		n, _ = p.Write([]byte("abcdefghijklmno"))
		wrote <- n
		p.CloseWrite(errors.New("the end"))
	}()
	check.Equal(t, "the first ten bytes", 10, <-wrote)
	select {
	case <-wrote:
		check.True(t, "the next fifteen", false, "written", "held back until somebody reads")
	case <-time.After(10 * time.Millisecond):
	}
	data, err := io.ReadAll(p)
	check.Equal(t, "what is read", "0123456789abcdefghijklmno", string(data))
	check.ErrorHas(t, "the end of reading", err, []string{"the end"})

	for _, left := range []error{nil, io.ErrClosedPipe} {
		p = newPipe(10)
		done := make(chan error, 1)
		go func() { _, err := p.Write(make([]byte, 1000)); done <- err }()
		p.CloseRead(left)
		select {
		case err := <-done:
			check.True(t, "Write once the reader has left", errors.Is(err, left), check.Error(err), check.Error(left))
		case <-time.After(check.Deadline):
			check.True(t, "Write once the reader has left", false, "it waits", "its return")
		}
	}
}
