// Package watch says which Go files were saved.
//
// It compares snapshots of what is there (size and time of each file), so an
// editor may write in place, rename over, or save twice. The kernel's
// notifications only say when to compare; a slow tick does where there are none
// (NFS, WSL's /mnt, no inotify watch left).
//
// Guarantees: a save is reported within a second, once it is quiet for Settle;
// two saves in that time are one report. A file that is touched without a
// change of size or time is not reported.
package watch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Settle is how long a folder must be quiet: editors write a file in steps.
const Settle = 50 * time.Millisecond

const tick = 800 * time.Millisecond

type stamp struct {
	size int64
	time time.Time
}

type snapshot map[string]stamp

// Files sends the Go files of these folders that changed, came or went, until
// ctx ends. Paths begin with the folder as given.
func Files(ctx context.Context, dirs []string) <-chan []string {
	// What is saved from here on counts, also before the goroutine runs.
	last := look(dirs)
	var alarms chan fsnotify.Event
	w, err := fsnotify.NewWatcher()
	if err == nil {
		for _, dir := range dirs {
			w.Add(dir) // what cannot be watched is found by the tick
		}
		alarms = w.Events
	}
	changes := make(chan []string)
	go func() {
		defer close(changes)
		if w != nil {
			defer w.Close()
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(tick):
			case <-alarms:
				settle(ctx, alarms)
			}
			now := look(dirs)
			if changed := last.diff(now); len(changed) > 0 {
				select {
				case changes <- changed:
				case <-ctx.Done():
					return
				}
			}
			last = now
		}
	}()
	return changes
}

func settle(ctx context.Context, alarms <-chan fsnotify.Event) {
	quiet := time.NewTimer(Settle)
	defer quiet.Stop()
	for {
		select {
		case <-alarms:
			quiet.Reset(Settle)
		case <-quiet.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func look(dirs []string) snapshot {
	s := snapshot{}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".go") && !strings.HasPrefix(e.Name(), ".") {
				if fi, err := e.Info(); err == nil {
					s[filepath.Join(dir, e.Name())] = stamp{fi.Size(), fi.ModTime()}
				}
			}
		}
	}
	return s
}

func (s snapshot) diff(now snapshot) (changed []string) {
	for path, st := range now {
		if s[path] != st {
			changed = append(changed, path)
		}
	}
	for path := range s {
		if _, ok := now[path]; !ok {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}
