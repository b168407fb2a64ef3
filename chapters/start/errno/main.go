// Command errno provokes six errors of the kernel and shows what Go makes of them.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	dir, err := os.MkdirTemp("", "errno-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "errno:", err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "text")
	os.WriteFile(file, []byte("no program"), 0o755)

	_, missing := os.Open(filepath.Join(dir, "missing"))
	_, notDir := os.Open(filepath.Join(file, "below"))
	_, badFD := unix.FcntlInt(999, unix.F_GETFD, 0)
	for _, t := range []struct {
		did string
		err error
	}{
		{"open a file that is not there", missing},
		{"open a path through a file", notDir},
		{"remove a folder that is not empty", syscall.Rmdir(dir)},
		{"execute a file that is no program", syscall.Exec(file, []string{file}, nil)},
		{"use a descriptor that is not open", badFD},
		{"signal a process that never was", syscall.Kill(1<<22+1, 0)},
	} {
		var errno syscall.Errno
		errors.As(t.err, &errno) // through every layer that wrapped it
		fmt.Printf("%-36s %-9s %s\n", t.did+":", unix.ErrnoName(errno), errno)
	}
	fmt.Println("errors.Is(missing, fs.ErrNotExist):", errors.Is(missing, os.ErrNotExist))
}
