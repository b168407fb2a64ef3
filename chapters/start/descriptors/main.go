// Command descriptors shows that a child inherits open files, not names of files,
// and that a pipe ends only when its last writer is gone.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}

func run() error {
	f, err := os.CreateTemp("", "descriptors-")
	if err != nil {
		return err
	}
	defer f.Close()
	f.WriteString("first\nsecond\n")
	f.Seek(0, io.SeekStart)
	os.Remove(f.Name()) // the name is gone, the file is not

	// The child gets descriptor 3 and no name. It reads one line of it: six bytes.
	child := exec.Command("sh", "-c", "head -c 6 <&3")
	child.ExtraFiles = []*os.File{f}
	out, err := child.Output()
	if err != nil {
		return err
	}
	fmt.Printf("child read %q\n", out)
	rest, _ := io.ReadAll(f)
	fmt.Printf("parent reads on where the child stopped: %q\n", rest)

	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	child = exec.Command("sh", "-c", "echo from the pipe >&3")
	child.ExtraFiles = []*os.File{w}
	if err := child.Start(); err != nil {
		return err
	}
	w.Close() // leave this out, and the next line waits for ever: we would be a writer ourselves
	all, _ := io.ReadAll(r)
	fmt.Printf("the pipe held %q, then ended, because no writer was left\n", all)
	return child.Wait()
}
