package main

import (
	"bufio"
	"os"
	"testing"

	"coracle/internal/check"
)

// gc waits for whoever holds the store, here a mounted image, and says so.
func TestImage_GCSaysWhatItWaitsFor(t *testing.T) {
	need(t)
	u := newUser(t)
	u.builds("demo:1")
	holder := u.command("mount", "demo:1", folder0(t), "--", "sh", "-c", "echo mounted; read line")
	holder.Stdin = nil
	in, err := holder.StdinPipe()
	check.NoError(t, "make a pipe", err)
	said, err := holder.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start image mount", holder.Start())
	bufio.NewReader(said).ReadString('\n')

	errs, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	defer errs.Close()
	gc := u.command("gc")
	gc.Stderr = w
	check.NoError(t, "start image gc", gc.Start())
	w.Close()
	line, err := check.Within(t, "gc while an image is mounted", "a line", func() (string, error) { return bufio.NewReader(errs).ReadString('\n') })
	check.NoError(t, "read what gc says", err)
	check.Equal(t, "what gc says", "image: waiting until nobody adds to the store\n", line)
	in.Close()
	holder.Wait()
	check.NoError(t, "gc, once nobody holds the store", gc.Wait())
}
