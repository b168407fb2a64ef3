package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	images "coracle/03-images"
	"coracle/03-images/userns"
)

func (p *program) mount() *cobra.Command {
	var writable bool
	cmd := p.platformFlag(&cobra.Command{
		Use: "mount NAME DIR [-- COMMAND...]", Short: "Mount an image read-only, for all (root) or for one command",
		Long: `Mounts an image's layers as one read-only tree.

Without a command, DIR shows the image to everybody until root unmounts it; do that
before you remove the image. With one, only the command sees it, and anybody may.`,
		Example: `  image mount debian:12 /mnt -- ls /mnt
  image mount --writable localhost/demo /mnt -- sh`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) < 2 || dash != 2 && (len(args) > 2 || dash >= 0) {
				return fmt.Errorf("usage: %s", cmd.UseLine())
			}
			return nil
		},
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind, do := closed, p.mountFor
		switch {
		case cmd.ArgsLenAtDash() < 0 && os.Geteuid() != 0:
			return fmt.Errorf("mount %s: only root can mount it for all to see; for a command of yours: image mount %s %s -- COMMAND", args[1], args[0], args[1])
		case cmd.ArgsLenAtDash() < 0 && writable:
			return errors.New("--writable is for a command: what it writes goes when it ends")
		case len(args) == 2 && cmd.ArgsLenAtDash() == 2:
			return errors.New("no command after --")
		case cmd.ArgsLenAtDash() < 0:
			kind, do = layers, p.mountForAll
		}
		return p.run(kind, func(ctx context.Context, s *images.Store, args []string) error { return do(ctx, s, args, writable) })(cmd, args)
	}
	cmd.Flags().BoolVar(&writable, "writable", false, "let the command write; what it wrote goes when it ends")
	return cmd
}

// mounted unpacks what is not unpacked yet, and says where the image is to be seen.
func (p *program) mounted(ctx context.Context, s *images.Store, name, dir string) (digest.Digest, string, error) {
	dir, err := folder(dir)
	if err != nil {
		return "", "", err
	}
	img, err := p.image(s, name)
	if err != nil {
		return "", "", err
	}
	progress, end := show()
	defer end()
	chain, err := s.Unpack(ctx, img, quiet(progress))
	return chain, dir, err
}

// quiet says nothing of layers that are unpacked already.
func quiet(p images.Progress) images.Progress {
	var seen sync.Map
	return func(e images.Event) {
		if e.Stage == images.Unpack {
			seen.Store(e.Digest, true)
		}
		if _, ok := seen.Load(e.Digest); ok {
			p(e)
		}
	}
}

func (p *program) mountForAll(ctx context.Context, s *images.Store, args []string, _ bool) error {
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	chain, dir, err := p.mounted(ctx, s, args[0], args[1])
	if err != nil {
		return err
	}
	return errors.Join(s.Sync(), s.MountReadonly(chain, dir))
}

// mountFor mounts an image in this process's own mount namespace, which ends with it.
// The layers stay until the command ends: the store's lock is held that long.
func (p *program) mountFor(ctx context.Context, s *images.Store, args []string, writable bool) error {
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	chain, dir, err := p.mounted(ctx, s, args[0], args[1])
	if err != nil {
		return err
	}
	if !writable {
		err = s.MountReadonly(chain, dir)
	} else {
		var sn *images.Snapshot
		if sn, err = s.Prepare(ctx, images.TemporaryID+rand.Text(), chain); err != nil {
			return err
		}
		defer sn.Remove()
		if err = sn.Mount(dir); err == nil {
			defer unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	if err != nil {
		return err
	}
	path, err := exec.LookPath(args[2]) // now: it may be in the image
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return &commandError{err}
	}
	p.status, err = command(path, args[2:])
	return err
}

// command runs a program to its end, which is at the latest our own.
func command(path string, args []string) (int, error) {
	// What a terminal's key sends reaches it as well, and what it does with that is its
	// own business: no context ends it.
	signals := make(chan os.Signal, 16)
	signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	runtime.LockOSThread() // it dies with this thread (PR_SET_PDEATHSIG)
	cmd := &exec.Cmd{Path: path, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, &commandError{err}
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM || s == syscall.SIGHUP || !userns.InForeground() {
				cmd.Process.Signal(s)
			}
		}
	}()
	cmd.Wait() // how it ended is in its state
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// folder is a folder's path with no link in it.
func folder(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", err
	}
	if fi, err := os.Stat(abs); err != nil || !fi.IsDir() {
		return "", fmt.Errorf("%s: not a directory", dir)
	}
	return abs, nil
}
