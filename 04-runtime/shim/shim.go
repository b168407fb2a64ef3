package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// adopt makes this process the one that orphans below it become children of
// (PR_SET_CHILD_SUBREAPER, prctl(2)): what the container's process leaves behind, and
// the container's process itself where it was made by one in between.
func adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	return nil
}

// reap waits for all children that have ended by now and calls ended for each: one
// SIGCHLD may stand for many. It never blocks.
//
// Children of a call of package oci are that call's to wait for. So it is made with
// s.calls locked, and reap takes the lock: afterwards the only children are the
// container's process, those of Exec, and orphans.
func (s *shim) reap() {
	s.calls.Lock()
	defer s.calls.Unlock()
	for {
		var ws unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0:
			return // ECHILD: there is none; 0: none has ended
		default:
			s.ended(pid, ws)
		}
	}
}

// Exit says how a process ended as a shell words it: its status, or 128 and the signal.
//
//	exit 3 → 3, 0; killed → 137, 9
func Exit(ws unix.WaitStatus) (code int, signal unix.Signal) {
	if ws.Signaled() {
		return 128 + int(ws.Signal()), ws.Signal()
	}
	return ws.ExitStatus(), 0
}

// Save puts a state into a container's folder, whole or not at all, and returns once a
// loss of power cannot take it back: the file is brought to the disk before it gets its
// name (fsync(2)), and the name after.
func Save(dir string, s State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Find returns what is known of the container of a folder, and whether its shim lives.
//
//	exit recorded                              Ended, whatever became of the shim
//	no exit, the process of that PID started
//	  when the shim did, and is no zombie      Alive
//	no exit, else                              Lost
//
// The file is read again if the shim turns out to be gone: it may have written its last
// word in between. Errors: fs.ErrNotExist if there never was a shim.
func Find(dir string) (State, Life, error) {
	for again := false; ; again = true {
		var s State
		b, err := os.ReadFile(filepath.Join(dir, stateFile))
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		switch {
		case err != nil:
			return s, Lost, fmt.Errorf("find the shim of %s: %w", dir, err)
		case s.Exited:
			return s, Ended, nil
		case s.Shim.Alive():
			return s, Alive, nil
		case again:
			return s, Lost, nil
		}
	}
}
