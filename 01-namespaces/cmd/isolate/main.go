// Isolate runs a command in a world of its own: chapter 1 as a program.
//
//	isolate [flags] [--] COMMAND [ARG…]
//	isolate enter NAME|PID [flags] [--] COMMAND [ARG…]
//	isolate ls
//
// Its exit status is the command's (128+signal for one that a signal ended); 125
// is an error of its own, 126 a command that cannot be executed, 127 one that is
// not found. What it says itself goes to stderr, in one line.
package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	namespaces "coracle/01-namespaces"
)

func main() {
	namespaces.Reexec()
	status, err := isolate(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolate:", err)
	}
	os.Exit(status)
}

func isolate(args []string) (int, error) {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var status int
	var err error
	switch verb {
	case "ls":
		err = list(args[1:])
	case "enter":
		status, err = enter(args[1:])
	case "help", "-h", "-help", "--help":
		fmt.Print(help)
	default:
		status, err = run(args)
	}
	if err != nil {
		return code(err), err
	}
	return status, nil
}

// code is the exit status for an error.
func code(err error) int {
	start := new(namespaces.StartError)
	switch {
	case !errors.As(err, &start) || !start.Program:
		return 125
	case errors.Is(start.Errno, syscall.ENOENT):
		return 127
	}
	return 126
}
