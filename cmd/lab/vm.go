package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"coracle/internal/base"
	"coracle/internal/doctor"
	"coracle/internal/exercise"
	"coracle/internal/screen"
	"coracle/internal/trial"
	"coracle/internal/vm"
	"coracle/internal/vm/wire"
	"coracle/internal/workshop"
)

// A machine is what the flags of vm's commands say.
type machine struct {
	user, kernel string
	memory, disk int
	verbose      bool
}

func (m *machine) config(cmd *cobra.Command) vm.Config {
	return vm.Config{Kernel: m.kernel, MemoryMB: m.memory, DiskMB: m.disk, Log: cmd.ErrOrStderr()}
}

func vmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vm COMMAND",
		Short: "The same in a small virtual machine with cgroup v2",
		Long: `Runs tests and programs in a small virtual machine: QEMU, a distribution's
kernel, cgroup version 2. It needs no root and leaves nothing but a cache.`,
		Example: "  ./lab vm doctor\n  ./lab vm test 2\n  ./lab vm test 2.5 --user learner\n  ./lab vm run 2 limit --memory 64M -- sh\n  ./lab vm run -- sh",
	}
	var m machine
	f := cmd.PersistentFlags()
	f.StringVar(&m.user, "user", "root", "who runs it: root or learner")
	f.StringVar(&m.kernel, "kernel", "", "a vmlinuz to boot; one is found or downloaded otherwise")
	f.IntVar(&m.memory, "memory", 0, "MB; 0 is 700 and twice what is shipped")
	f.IntVar(&m.disk, "disk", 0, "MB of an ext4 root; 0 is a root in memory")
	cmd.AddCommand(vmTestCmd(&m), vmRunCmd(&m), &cobra.Command{
		Use:   "doctor",
		Short: "What a virtual machine needs that is missing here",
		Args:  atMost(0),
		RunE: func(*cobra.Command, []string) error {
			checks := vmChecks()
			for _, c := range checks {
				fmt.Printf("%s\t%s\t%s\t%s\n", c.Level, c.Name, c.Says, c.Fix)
			}
			if checks[0].Level != doctor.OK {
				return failed()
			}
			return nil
		},
	})
	for _, sub := range cmd.Commands() {
		sub.DisableFlagsInUseLine = true
	}
	return cmd
}

func vmTestCmd(m *machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test N|N.M [-v]",
		Short: "Run a chapter's tests there, what you wrote from you, the rest borrowed",
		Long: `Runs all tests of a chapter or of one exercise in the virtual machine and reports
as go test does. What bears no mark is taken from you, the rest is the reference.
An exercise of yours whose tests are all green there is yours from then on.`,
		Args:              exactly(1),
		ValidArgsFunction: completeIDs(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			es, err := some(args)
			if err != nil {
				return err
			}
			return vmTest(cmd, t, es, m)
		},
	}
	cmd.Flags().BoolVarP(&m.verbose, "verbose", "v", false, "every test's output")
	return cmd
}

func vmTest(cmd *cobra.Command, t *workshop.Tree, es []exercise.Exercise, m *machine) error {
	var mine []string
	written := map[string][]byte{} // exercise → the content that is tested
	for _, e := range es {
		state, err := t.State(e)
		if err != nil && state != workshop.Unwritten {
			return err
		}
		if state == workshop.Yours || state == workshop.InProgress {
			mine = append(mine, e.ID)
			if written[e.ID], err = os.ReadFile(t.Path(e.File)); err != nil {
				return err
			}
		}
	}
	layer, borrowed, err := t.Borrow(mine...)
	if err != nil {
		return err
	}
	overlay, err := t.Write(layer)
	if err != nil {
		return err
	}
	borrowed = slices.DeleteFunc(borrowed, func(e exercise.Exercise) bool { return e.Chapter() > es[0].Chapter() })
	if len(borrowed) > 0 {
		fmt.Fprintf(os.Stderr, "lab: tested on the reference, because they are not yours: %s\n", trial.Borrowing(borrowed))
	}
	spec := vm.TestSpec{ModuleRoot: t.Root, Overlay: overlay, User: m.user, JSON: true, Machine: m.config(cmd)}
	for _, group := range byFolder(es) {
		pattern := "./" + group[0].Dir()
		if len(es) > 1 {
			pattern += "/..."
		}
		spec.Packages = append(spec.Packages, pattern)
	}
	if len(es) == 1 {
		var tests []string
		for _, r := range es[0].Rungs {
			tests = append(tests, r.Test)
		}
		spec.Args = append(spec.Args, "-run=^("+strings.Join(tests, "|")+")$")
	}
	events := &events{out: cmd.OutOrStdout(), verbose: m.verbose, outcome: map[string]string{}, held: map[string]string{}}
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() { read <- events.read(r) }()
	code, err := vm.Test(cmd.Context(), spec, w)
	w.Close()
	if err2 := <-read; err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	for _, e := range es {
		if src := written[e.ID]; src != nil && events.passed(e) {
			if err := t.Remember(e, src, true); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is yours\n", e.ID)
		}
	}
	if code != 0 {
		return failed()
	}
	return nil
}

// events reads the lines of test2json and prints what go test would.
type events struct {
	out     io.Writer
	verbose bool
	outcome map[string]string // test → its last action
	held    map[string]string // test → output that is shown if it fails
}

func (e *events) read(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var ev struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&ev); err == io.EOF {
			return nil
		} else if err != nil {
			io.Copy(io.Discard, r)
			return fmt.Errorf("read the test events: %w", err)
		}
		top, _, _ := strings.Cut(ev.Test, "/")
		switch {
		case ev.Action == "output" && ev.Test == "" && strings.Contains(ev.Output, " written"):
			// The closing line of a chapter's tests: there it counts the borrowed too.
		case ev.Action == "output" && (e.verbose || ev.Test == ""):
			if e.verbose || ev.Output != "PASS\n" {
				io.WriteString(e.out, ev.Output)
			}
		case ev.Action == "output":
			if !strings.HasPrefix(ev.Output, "=== ") {
				e.held[top] += ev.Output
			}
		case ev.Test != "" && ev.Test == top:
			e.outcome[top] = ev.Action
			if ev.Action == "fail" {
				io.WriteString(e.out, e.held[top])
			}
			delete(e.held, top)
		}
	}
}

func (e *events) passed(x exercise.Exercise) bool {
	return len(x.Rungs) > 0 && !slices.ContainsFunc(x.Rungs, func(r exercise.Rung) bool { return e.outcome[r.Test] != "pass" })
}

func vmRunCmd(m *machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run N PROGRAM [ARG...] | run -- CMD [ARG...]",
		Short: "Run a chapter's program there, or any command of the base image",
		Long:  "As ./lab run, in the virtual machine. Flags after N belong to the program.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			if cmd.ArgsLenAtDash() == 0 {
				code, err := vmRun(cmd.Context(), t, m.config(cmd), "", vm.Command{Args: args, User: m.user})
				if err == nil && code != 0 {
					return &exit{code: code}
				}
				return err
			}
			c, name, err := program(t, args)
			if err != nil {
				return err
			}
			bin, err := buildProgram(cmd.Context(), t, c, name, nil)
			if err != nil {
				return err
			}
			code, err := vmRun(cmd.Context(), t, m.config(cmd), bin, vm.Command{Args: append([]string{"/usr/local/bin/" + name}, args[2:]...), User: m.user})
			if err == nil && code != 0 {
				return &exit{code: code}
			}
			return err
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// vmRun gives the program a terminal if there is one here.
func vmRun(ctx context.Context, t *workshop.Tree, cfg vm.Config, bin string, c vm.Command) (int, error) {
	root, err := base.Ensure(ctx, t.Root)
	if err != nil {
		return 0, err
	}
	const guestBase = "/usr/lib/coracle-base"
	cfg.Root, cfg.ModuleRoot = root, t.Root
	c.Stdin, c.Env = os.Stdin, []string{"CORACLE_BASE=" + guestBase}
	if s := screen.New(os.Stdout); s.TTY && term.IsTerminal(0) {
		size := func() wire.Size {
			s := screen.New(os.Stdout)
			return wire.Size{Rows: uint16(s.Height), Cols: uint16(s.Width)}
		}
		resized, sizes := make(chan os.Signal, 1), make(chan wire.Size)
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			for {
				select {
				case <-resized:
				case <-ctx.Done():
					return
				}
				select {
				case sizes <- size():
				case <-ctx.Done():
					return
				}
			}
		}()
		c.TTY, c.Size, c.Resize = true, size(), sizes
		old, err := term.MakeRaw(0)
		if err != nil {
			return 0, fmt.Errorf("the terminal: %w", err)
		}
		defer term.Restore(0, old)
	}
	files := []vm.File{{Host: root, Guest: guestBase}}
	if bin != "" {
		files = append(files, vm.File{Host: bin, Guest: c.Args[0], Mode: 0o755})
	}
	results, err := vm.Run(ctx, cfg, files, []vm.Command{c}, os.Stdout, os.Stderr)
	if err != nil {
		return 0, err
	}
	return results[0].Code, nil
}
