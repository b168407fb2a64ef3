package registry

import (
	"context"
	"sync"
	"time"

	"coracle/03-images"
)

// A lease holds the store shared while a request that adds to it runs, and while a
// client was promised something that has no name yet: a blob by its digest, an
// upload by its id. A client that never comes back is waited for once, for keep.
type lease struct {
	store *images.Store
	keep  time.Duration
	drop  func() // what was promised is void

	mu       sync.Mutex
	unlock   func() // nil: not held
	requests int
	promised map[string]bool
	timer    *time.Timer
}

func newLease(s *images.Store, keep time.Duration, drop func()) *lease {
	l := &lease{store: s, keep: keep, drop: drop, promised: map[string]bool{}}
	l.timer = time.AfterFunc(keep, l.expire)
	l.timer.Stop()
	return l
}

// hold begins a request. It waits while another process collects.
func (l *lease) hold(ctx context.Context) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unlock == nil {
		if l.unlock, err = l.store.Share(ctx); err != nil {
			l.unlock = nil
			return nil, err
		}
	}
	l.requests++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.requests--
		l.settle()
	}, nil
}

// promise is called in a request.
func (l *lease) promise(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised[what] = true
	l.timer.Reset(l.keep)
}

// named says that something has a name now, or is not wanted any more.
func (l *lease) named(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.promised, what)
}

// settle gives the store back if nothing is left to hold it for.
func (l *lease) settle() {
	if l.requests == 0 && len(l.promised) == 0 && l.unlock != nil {
		l.timer.Stop()
		l.unlock()
		l.unlock = nil
	}
}

func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requests > 0 { // one that takes long is no client that is gone
		l.timer.Reset(l.keep)
		return
	}
	l.drop()
	clear(l.promised)
	l.settle()
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	l.drop()
	clear(l.promised)
	l.requests = 0
	l.settle()
}
