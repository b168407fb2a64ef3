package main

import (
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	namespaces "coracle/01-namespaces"
)

// starter is namespaces.Start or namespaces.Enter.
type starter func(*namespaces.Spec, namespaces.Stdio) (*namespaces.Process, error)

func run(args []string) (int, error) {
	o, err := parse(args)
	if err != nil {
		return 0, err
	}
	spec, err := o.build()
	if err != nil {
		return 0, err
	}
	name, err := reserve(o.name)
	if err != nil {
		return 0, err
	}
	start := namespaces.Start
	if slices.ContainsFunc(spec.Namespaces, func(ns namespaces.Namespace) bool { return ns.Path != "" }) {
		start = namespaces.Enter
	}
	return supervise(spec, start, name.announce)
}

// supervise starts the program, passes on what comes for it, and returns its
// exit status.
func supervise(spec *namespaces.Spec, start starter, started func(pid int)) (int, error) {
	if err := spec.CompileSeccomp(); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 16)
	// Before the program runs, or a signal in between would end us and, with us, it.
	for _, s := range forwarded {
		if !signal.Ignored(s) { // as nohup has it, which is meant for the command
			signal.Notify(signals, s)
		}
	}
	stdio := namespaces.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	var console *os.File
	if spec.Terminal {
		var err error
		if console, stdio.Console, err = namespaces.NewConsole(); err != nil {
			return 0, err
		}
	}
	// The program dies with the thread that started it (PR_SET_PDEATHSIG): keep that
	// one, which ends with the goroutine only.
	runtime.LockOSThread()
	p, err := start(spec, stdio)
	if err != nil {
		return 0, err
	}
	started(p.Pid)
	go forward(signals, p)
	if spec.Terminal {
		stdio.Console.Close()
		master, err := namespaces.ReceiveConsole(console)
		if err == nil {
			var t *namespaces.Terminal
			if t, err = namespaces.Attach(master, os.Stdin, os.Stdout); err == nil {
				defer t.Detach()
			}
		}
		if err != nil {
			p.Kill()
			p.Wait()
			return 0, err
		}
	}
	return p.Wait()
}

// forwarded are the signals that somebody sends to a program on purpose.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT,
}

// forward passes signals on. A PID 1 without a handler ignores them, so that
// somebody who insists gets what he wants.
func forward(signals <-chan os.Signal, p *namespaces.Process) {
	asked := 0
	for s := range signals {
		if s == syscall.SIGINT || s == syscall.SIGTERM {
			asked++
		}
		if asked == 3 {
			s = syscall.SIGKILL
		}
		p.Signal(s.(syscall.Signal))
	}
}
