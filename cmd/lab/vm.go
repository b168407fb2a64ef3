package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"coracle/internal/base"
	"coracle/internal/doctor"
	"coracle/internal/screen"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("no command vm %s: there are test, run and doctor", args[0])
			}
			return cmd.Help()
		},
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

func vmRunCmd(m *machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run N PROGRAM [ARG...] | run -- CMD [ARG...]",
		Short: "Run a chapter's program there, or any command of the base image",
		Long:  "As ./lab run, in the virtual machine. Flags after N belong to the program.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("usage: %s", cmd.UseLine())
			}
			return nil
		},
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
