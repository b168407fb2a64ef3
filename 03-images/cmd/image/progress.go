package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"

	images "coracle/03-images"
)

// show begins to show progress on stderr: a bar for each layer on a terminal, else a
// line for each thing that is done. end must be called before anything else is said.
func show() (p images.Progress, end func()) {
	size, err := unix.IoctlGetWinsize(int(os.Stderr.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || os.Getenv("TERM") == "dumb" { // no terminal, or one that is not drawn
		l := &lines{w: os.Stderr, last: map[digest.Digest]images.Event{}}
		return l.event, func() {}
	}
	b := &bars{all: mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(40)), of: map[digest.Digest]*bar{}}
	return b.event, b.end
}

// bars are one for each blob.
type bars struct {
	mu  sync.Mutex
	all *mpb.Progress
	of  map[digest.Digest]*bar
}

type bar struct {
	*mpb.Bar
	mu    sync.Mutex
	stage images.Stage
}

func (b *bars) event(e images.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.of[e.Digest]
	if one == nil {
		one = &bar{stage: e.Stage}
		// A total of 0: the bar is done when it is told so, not when it is full.
		one.Bar = b.all.AddBar(0,
			mpb.PrependDecorators(decor.Name(short(e.Digest.Encoded())+" "), decor.Any(func(decor.Statistics) string { return fmt.Sprintf("%-8s ", one.now()) })),
			mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
				if s.Total <= 0 {
					return " " + inBytes(s.Current)
				}
				return fmt.Sprintf(" %s of %s", inBytes(s.Current), inBytes(s.Total))
			})))
		b.of[e.Digest] = one
	}
	one.mu.Lock()
	one.stage = e.Stage
	one.mu.Unlock()
	switch e.Stage {
	case images.Exists, images.Ready:
		one.SetTotal(max(e.Total, 1), false)
		one.SetCurrent(max(e.Total, 1))
		one.SetTotal(-1, true)
	default:
		if e.Total > 0 {
			one.SetTotal(e.Total, false)
		}
		one.SetCurrent(e.Done)
	}
}

func (b *bar) now() images.Stage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stage
}

// end leaves the bars as they stand.
func (b *bars) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.of {
		one.Abort(false)
	}
	b.all.Wait()
}

// lines tell of each blob once per stage.
type lines struct {
	mu   sync.Mutex
	w    io.Writer
	last map[digest.Digest]images.Event
}

func (l *lines) event(e images.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, seen := l.last[e.Digest]; seen && last.Stage == e.Stage {
		return
	}
	l.last[e.Digest] = e
	of := ""
	if e.Total > 0 {
		of = " " + inBytes(e.Total)
	}
	fmt.Fprintf(l.w, "%s %s%s\n", short(e.Digest.Encoded()), e.Stage, of)
}
