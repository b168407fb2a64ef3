package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"coracle/internal/vm/wire"
)

// machine is a running QEMU. Everything it is given are inherited descriptors (3 initramfs, 4 console, 5 port, 6 disk),
// so there are no files to remove, however the caller ends.
type machine struct {
	cancel  context.CancelCauseFunc
	ctx     context.Context
	port    *os.File // our end of the virtio-serial port
	timer   *time.Timer
	started time.Time
	console tail
	stderr  tail
	ended   chan error // QEMU's exit
}

var errBootTimeout = errors.New("it did not come up in time")

func (cfg Config) boot(ctx context.Context, files []File, job wire.Job) (_ *machine, err error) {
	qemu, err := exec.LookPath(qemuName())
	if err != nil {
		return nil, errors.New(qemuProblem().String())
	}
	kernel, err := FindKernel(ctx, cfg.Kernel, cfg.Log)
	if err != nil {
		return nil, err
	}
	var given []*os.File
	defer func() {
		for _, f := range given {
			f.Close()
		}
	}()
	initramfs, err := anonymousFile("initramfs")
	if err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	given = append(given, initramfs)
	if err := cfg.writeInitramfs(ctx, initramfs, kernel, files, job); err != nil {
		return nil, err
	}
	if cfg.MemoryMB == 0 { // the archive, what is unpacked from it and the new root overlap for a while
		st, err := initramfs.Stat()
		if err != nil {
			return nil, fmt.Errorf("initramfs: %w", err)
		}
		cfg.MemoryMB = 700 + 2*int(st.Size()>>20)
	}
	console, consoleEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("console of the virtual machine: %w", err)
	}
	given = append(given, consoleEnd)
	port, portEnd, err := socketpair()
	if err != nil {
		console.Close()
		return nil, fmt.Errorf("port of the virtual machine: %w", err)
	}
	given = append(given, portEnd)
	defer func() {
		if err != nil {
			console.Close()
			port.Close()
		}
	}()
	if cfg.DiskMB > 0 {
		disk, err := makeDisk(ctx, cfg.DiskMB)
		if err != nil {
			return nil, err
		}
		given = append(given, disk)
	}
	args, err := cfg.arguments(kernel)
	if err != nil {
		return nil, err
	}
	m := &machine{port: port, ended: make(chan error, 1)}
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	cmd := exec.CommandContext(m.ctx, qemu, args...)
	cmd.ExtraFiles, cmd.Stderr = given, &m.stderr
	cmd.SysProcAttr = dieWithParent()
	launched := make(chan error)
	go func() {
		// A parent-death signal is sent when the thread that forked ends, not the process: prctl(2), PR_SET_PDEATHSIG.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		launched <- err
		if err == nil {
			m.ended <- cmd.Wait()
		}
	}()
	m.started = time.Now()
	if err = <-launched; err != nil {
		return nil, fmt.Errorf("start %s: %w", qemu, err)
	}
	go func() {
		defer console.Close()
		w := io.Writer(&m.console)
		if cfg.Console != nil {
			w = io.MultiWriter(w, cfg.Console)
		}
		io.Copy(w, console) //nolint:errcheck // ends with QEMU
	}()
	m.timer = time.AfterFunc(cfg.BootTimeout, func() { m.cancel(errBootTimeout) })
	return m, nil
}

// arguments is QEMU's command line. Without -nodefaults it adds a disc drive and a network that nobody uses, and each
// costs boot time; mitigations slow an emulated processor down and protect nobody here; the timer check takes a busy
// host for a broken interrupt controller.
func (cfg Config) arguments(k Kernel) ([]string, error) {
	machine, tty := "q35", "ttyS0"
	if runtime.GOARCH == "arm64" {
		machine, tty = "virt", "ttyAMA0"
	}
	cpu := "max"
	switch cfg.Accel {
	case "", "tcg":
		cfg.Accel = "tcg,thread=multi"
	case "kvm":
		f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("acceleration kvm: %w; leave it out: emulation works everywhere", err)
		}
		f.Close()
		cpu = "host"
	default:
		return nil, fmt.Errorf("no acceleration %q; there are tcg and kvm", cfg.Accel)
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", machine, "-accel", cfg.Accel, "-cpu", cpu,
		"-smp", fmt.Sprint(cfg.CPUs), "-m", fmt.Sprint(cfg.MemoryMB),
		"-kernel", k.Image, "-initrd", "/dev/fd/3",
		"-append", "rdinit=" + wire.Dir + "/init console=" + tty + " loglevel=4 panic=-1 cgroup_no_v1=all psi=1 " +
			"apparmor=0 mitigations=off random.trust_cpu=on nokaslr no_timer_check",
		"-chardev", "file,id=console,path=/dev/fd/4", "-serial", "chardev:console",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=port,fd=5",
		"-device", "virtserialport,chardev=port,name=" + wire.PortName,
	}
	if cfg.DiskMB > 0 {
		args = append(args, "-drive", "if=none,id=root,format=raw,cache=unsafe,file.locking=off,file=/dev/fd/6",
			"-device", "virtio-blk-pci,drive=root")
	}
	return args, nil
}

func (m *machine) booted() { m.timer.Stop() }

// stop kills QEMU by its process id and waits for it.
func (m *machine) stop() {
	m.timer.Stop()
	m.cancel(nil)
	<-m.ended
	m.port.Close()
}
