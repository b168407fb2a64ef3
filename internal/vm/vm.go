package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"coracle/internal/vm/wire"
)

// Config is a machine. The zero value is a good one, inside a checkout.
type Config struct {
	Kernel   string   // path of a vmlinuz; "" lets FindKernel choose
	MemoryMB int      // 0: enough for what is shipped, and 700
	CPUs     int      // 0: 2
	DiskMB   int      // more than 0: the root is ext4 on a disk of that size (sparse; overlay uppers and user xattrs need it before Linux 6.6)
	Accel    string   // "" or "tcg": software, works everywhere; "kvm": faster, and hangs on some hosts that are machines in a cloud themselves
	Modules  []string // loaded at boot besides those that the kernel asks for itself; one that the kernel lacks is an error
	Root     string   // a directory laid into the guest as /, with a shell and tools; "" leaves only what files bring
	Programs []string // programs of this host to ship with their libraries, where they exist: "nft", "newuidmap"

	ModuleRoot  string                // checkout to build init from; "" looks upwards from the working directory
	BootTimeout time.Duration         // until the first command; 0: 90 s, a slow emulation's worth
	Log         io.Writer             // what takes long is announced here
	Console     io.Writer             // everything the guest's kernel prints
	OnReady     func(Boot)            // called before the first command
	OnExit      func(i int, r Result) // called after each
}

// Boot is how the start went: of the kernel's own time, and of the host's from the start of QEMU.
type Boot struct {
	Kernel      string
	Guest, Host time.Duration
}

// File is a file or a whole directory to put into the guest, owned by root.
type File struct {
	Host  string      // path here; a symlink is followed, those within a directory are kept
	Data  []byte      // content, where Host is ""
	Guest string      // absolute path there
	Mode  fs.FileMode // 0: the host's (0644 for Data)
}

// Command is a process to run in the guest. It is born in a cgroup of its own, which belongs to its user.
type Command struct {
	Args           []string
	Env            []string // added to PATH, HOME, USER and the like
	Dir            string
	User           string        // "" or "root", or "learner": uid 1000, subordinate ids from 100000
	Timeout        time.Duration // 0: only the context ends it
	Stdin          io.Reader     // nil: /dev/null
	TTY            bool          // a terminal of its own, whose output arrives as stdout; the caller makes its own raw
	Size           wire.Size
	Resize         <-chan wire.Size
	Stdout, Stderr io.Writer // nil: those of Run
}

// Result is how a command ended: Code as a shell has it, 124 when its time was over.
type Result = wire.Status

// Run boots a machine, runs the commands in order and ends it. Results are as many as commands ended. An error is the
// machine's, never a command's. Nothing stays behind: no file was made, and QEMU dies with the caller.
func Run(ctx context.Context, cfg Config, files []File, commands []Command, stdout, stderr io.Writer) ([]Result, error) {
	job, err := cfg.job(commands)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	m, err := cfg.boot(ctx, files, job)
	if err != nil {
		return nil, err
	}
	defer m.stop()
	results, err := m.converse(cfg, commands, stdout, stderr)
	if cfg.Log != nil && err == nil {
		fmt.Fprintf(cfg.Log, "virtual machine: %v in all\n", time.Since(start).Round(time.Millisecond))
	}
	return results, err
}

// job checks what the guest will be asked to do.
func (cfg *Config) job(commands []Command) (wire.Job, error) {
	if cfg.CPUs == 0 {
		cfg.CPUs = 2
	}
	if cfg.BootTimeout == 0 {
		cfg.BootTimeout = 90 * time.Second
	}
	switch {
	case cfg.MemoryMB != 0 && cfg.MemoryMB < 192:
		return wire.Job{}, fmt.Errorf("a machine with %d MB does not boot; give it 192 or more", cfg.MemoryMB)
	case cfg.CPUs < 1 || cfg.CPUs > 64:
		return wire.Job{}, fmt.Errorf("a machine with %d processors cannot be emulated; 1 to 64 can", cfg.CPUs)
	case cfg.DiskMB < 0 || cfg.DiskMB > 0 && cfg.DiskMB < 64:
		return wire.Job{}, fmt.Errorf("a disk of %d MB is too small for a root; give it 64 or more, or 0 for none", cfg.DiskMB)
	case len(commands) == 0 || len(commands) > 1000:
		return wire.Job{}, fmt.Errorf("%d commands to run in the virtual machine; want 1 to 1000", len(commands))
	}
	job := wire.Job{Root: "tmpfs", Modules: cfg.Modules, Hostname: "coracle"}
	if cfg.DiskMB > 0 {
		job.Root = "ext4"
	}
	for i, c := range commands {
		if len(c.Args) == 0 || c.Args[0] == "" {
			return wire.Job{}, fmt.Errorf("command %d for the virtual machine has no program", i+1)
		}
		switch c.User {
		case "", "root", "learner":
		default:
			return wire.Job{}, fmt.Errorf("no user %q in the virtual machine; it has root and learner", c.User)
		}
		job.Commands = append(job.Commands, wire.Command{Args: c.Args, Env: c.Env, Dir: c.Dir, User: c.User,
			Timeout: c.Timeout, TTY: c.TTY, Input: c.Stdin != nil, Size: c.Size})
	}
	return job, nil
}

// converse reads frames until the guest is done; it is the only reader, so output keeps its order.
func (m *machine) converse(cfg Config, commands []Command, stdout, stderr io.Writer) ([]Result, error) {
	var results []Result
	out := wire.NewWriter(m.port)
	for {
		f, err := wire.Read(m.port)
		if err != nil {
			return results, m.explain(err)
		}
		if i := int(f.Command); i >= len(commands) {
			return results, fmt.Errorf("virtual machine: a frame for command %d of %d", i, len(commands))
		}
		c := commands[f.Command]
		switch f.Kind {
		case wire.Ready:
			m.booted()
			var b wire.Boot
			if err := json.Unmarshal(f.Payload, &b); err != nil {
				return results, fmt.Errorf("virtual machine: its first message: %w", err)
			}
			if cfg.OnReady != nil {
				cfg.OnReady(Boot{Kernel: b.Kernel, Guest: b.Uptime, Host: time.Since(m.started)})
			}
			go feed(out, 0, commands[0])
		case wire.Stdout:
			err = write(f.Payload, c.Stdout, stdout)
		case wire.Stderr:
			err = write(f.Payload, c.Stderr, stderr)
		case wire.Exit:
			var r Result
			if err := json.Unmarshal(f.Payload, &r); err != nil {
				return results, fmt.Errorf("virtual machine: status of %s: %w", c.Args[0], err)
			}
			if results = append(results, r); cfg.OnExit != nil {
				cfg.OnExit(int(f.Command), r)
			}
			if next := int(f.Command) + 1; next < len(commands) {
				go feed(out, next, commands[next])
			}
		case wire.Done:
			return results, nil
		}
		if err != nil {
			return results, fmt.Errorf("output of %s: %w", c.Args[0], err)
		}
	}
}

func write(p []byte, writers ...io.Writer) error {
	for _, w := range writers {
		if w != nil {
			_, err := w.Write(p)
			return err
		}
	}
	return nil
}

// feed sends a command's input. It ends when the input does, or with the first write after the machine's end; a
// terminal's reader stays blocked until then, as it does in every program of this kind.
func feed(out *wire.Writer, i int, c Command) {
	if c.Resize != nil {
		go func() {
			for size := range c.Resize {
				if p, err := json.Marshal(size); err != nil || out.Send(wire.Resize, i, p) != nil {
					return
				}
			}
		}()
	}
	if c.Stdin == nil {
		return
	}
	if _, err := io.Copy(out.Stream(wire.Stdin, i), c.Stdin); err == nil || !errors.Is(err, fs.ErrClosed) {
		out.Send(wire.Stdin, i, nil) //nolint:errcheck // the machine is gone, which converse reports
	}
}
