// Command mounts shows that a mount belongs to a mount namespace, not to the machine.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mounts:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 {
		return inside(os.Args[1])
	}
	dir, err := os.MkdirTemp("", "mounts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	child := exec.Command("/proc/self/exe", dir)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	// The user namespace makes it possible without root: the child is root over its own mounts only.
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := child.Run(); err != nil {
		return fmt.Errorf("run a child in a mount namespace of its own (./lab doctor helps): %w", err)
	}
	names, err := os.ReadDir(dir)
	fmt.Printf("outside: the same folder holds %d files\n", len(names))
	return err
}

func inside(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
	}
	if err := os.WriteFile(dir+"/hello", nil, 0o644); err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	fmt.Printf("inside: I am user %d, and the folder holds %d file: %s\n", os.Getuid(), len(names), names[0].Name())
	return err
}
