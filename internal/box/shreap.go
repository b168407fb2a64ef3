package box

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// children waits for every child in one place. PID 1 inherits orphans that no
// one asked for, and one wait4(-1) both reaps them and hears of its own; two
// waiters would steal from each other.
type children struct {
	once sync.Once
	mu   sync.Mutex // held over fork: no exit is heard before its channel is here
	wait map[int]chan syscall.WaitStatus
}

func (k *children) watch() {
	k.once.Do(func() {
		k.wait = map[int]chan syscall.WaitStatus{}
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGCHLD)
		go func() {
			for {
				k.reap()
				<-ch
			}
		}()
	})
}

func (k *children) reap() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
		if ch, ok := k.wait[pid]; ok {
			ch <- ws
			delete(k.wait, pid)
		}
	}
}

func (k *children) start(path string, argv []string, attr *syscall.ProcAttr) (int, chan syscall.WaitStatus, error) {
	k.watch()
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ch := make(chan syscall.WaitStatus, 1)
	k.wait[pid] = ch
	return pid, ch, nil
}
