// Mistake: nobody looks at the context while it waits
package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func (g *Group) Populated() (bool, error) {
	text, err := g.Read("cgroup.events")
	if err != nil {
		return false, err
	}
	events, err := ParseKeyed(text)
	return events["populated"] == 1, err
}
func (g *Group) Freeze(ctx context.Context) error { return g.refFreeze(ctx, 1) }
func (g *Group) Thaw(ctx context.Context) error   { return g.refFreeze(ctx, 0) }

func (g *Group) refFreeze(ctx context.Context, to uint64) error {
	if err := g.Write("cgroup.freeze", strconv.FormatUint(to, 10)); err != nil {
		return err
	}
	return g.refWait("frozen", to)
}
func (g *Group) Kill(ctx context.Context) error {
	err := g.Write("cgroup.kill", "1")
	if errors.Is(err, fs.ErrNotExist) {
		err = g.refKillEach(ctx) // before Linux 5.14
	}
	if err != nil {
		return err
	}
	return g.refWait("populated", 0)
}
func (g *Group) refKillEach(ctx context.Context) error {
	if err := g.Freeze(ctx); err != nil {
		return err
	}
	err := filepath.WalkDir(g.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := (&Group{p}).Read("cgroup.procs")
		for _, f := range strings.Fields(pids) {
			if pid, _ := strconv.Atoi(f); pid > 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return err
	})
	return errors.Join(err, g.Write("cgroup.freeze", "0"))
}
func (g *Group) refWait(key string, value uint64) error {
	path := filepath.Join(g.dir, "cgroup.events")
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 4096)
	for {
		n, err := unix.Pread(int(f.Fd()), buf, 0)
		if err != nil {
			return &fs.PathError{Op: "read", Path: path, Err: err}
		}
		events, err := ParseKeyed(string(buf[:n]))
		if err != nil || events[key] == value {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("poll %s: %w", path, err)
		}
	}
}
