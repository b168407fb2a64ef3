// Alternative: no cgroup.kill: frozen, signalled one by one and thawed; a ticker looks at cgroup.events.
package cgroups

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func (g *Group) Populated() (bool, error) { return g.refIs("populated 1") }

func (g *Group) refIs(what string) (bool, error) {
	text, err := g.Read("cgroup.events")
	return strings.Contains("\n"+text+"\n", "\n"+what+"\n"), err
}

func (g *Group) Freeze(ctx context.Context) error {
	if err := g.Write("cgroup.freeze", "1"); err != nil {
		return err
	}
	return g.refUntil(ctx, "frozen 1")
}

func (g *Group) Thaw(ctx context.Context) error {
	if err := g.Write("cgroup.freeze", "0"); err != nil {
		return err
	}
	return g.refUntil(ctx, "frozen 0")
}

func (g *Group) Kill(ctx context.Context) error {
	if err := g.Freeze(ctx); err != nil {
		return err
	}
	if err := g.refSignal(); err != nil {
		return err
	}
	if err := g.Write("cgroup.freeze", "0"); err != nil {
		return err
	}
	return g.refUntil(ctx, "populated 0")
}

func (g *Group) refSignal() error {
	pids, err := g.Read("cgroup.procs")
	if err != nil {
		return err
	}
	for _, text := range strings.Fields(pids) {
		pid, err := strconv.Atoi(text)
		if err != nil || pid == 0 {
			return fmt.Errorf("%s/cgroup.procs: %q", g.dir, text)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	entries, err := os.ReadDir(g.dir)
	for _, e := range entries {
		if e.IsDir() {
			if err := (&Group{g.dir + "/" + e.Name()}).refSignal(); err != nil {
				return err
			}
		}
	}
	return err
}

func (g *Group) refUntil(ctx context.Context, what string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if is, err := g.refIs(what); is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not %s: %w", g.dir, what, ctx.Err())
		case <-tick.C:
		}
	}
}
