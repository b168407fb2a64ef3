package shim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	configFile = "shim.json"
	stateFile  = "state.json"
	socketFile = "shim.sock"
	errorFile  = "shim.err"
)

// A Config is what a shim is to do.
type Config struct {
	ID   string `json:"id"`
	Root string `json:"root"` // of the runtime's state: oci.Runtime.Root

	Log      string `json:"log,omitempty"`      // "": nowhere
	MaxBytes int64  `json:"maxBytes,omitempty"` // crilog.Options
	Keep     int    `json:"keep,omitempty"`

	Terminal  bool `json:"terminal,omitempty"`
	Stdin     bool `json:"stdin,omitempty"`     // stays open; else it is empty
	StdinOnce bool `json:"stdinOnce,omitempty"` // until who attached first has closed his
}

// A State is what is known of a container, in its folder and over the socket.
type State struct {
	Shim      Process `json:"shim"`
	Container Process `json:"container"`

	CreatedAt  time.Time `json:"createdAt,omitzero"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`

	Exited   bool        `json:"exited,omitempty"`
	ExitCode int         `json:"exitCode,omitempty"`
	Signal   unix.Signal `json:"signal,omitempty"`
	OOM      bool        `json:"oom,omitempty"`   // the OOM killer ended it
	Error    string      `json:"error,omitempty"` // why it could not be created or started
}

// Life is what became of a container's shim.
type Life int

const (
	Lost  Life = iota // gone without having written how the container ended
	Alive             // to be asked
	Ended             // the container exited; State says how
)

// A Process is one that ever was: a PID is used again, the pair is not (proc_pid_stat(5)).
type Process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`
}

// ProcessOf returns the process that has a PID now.
func ProcessOf(pid int) Process {
	start, _ := startTime(pid)
	return Process{pid, start}
}

// Alive says whether it exists still, and is no zombie.
func (p Process) Alive() bool {
	start, ok := startTime(p.PID)
	return p.PID > 0 && ok && start == p.StartTime
}

// startTime reads fields 22 and 3 of /proc/PID/stat; the second, the name in brackets,
// may hold anything.
func startTime(pid int) (start uint64, alive bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return 0, false
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, err == nil && fields[0] != "Z" && fields[0] != "X"
}

func readJSON(dir, name string, v any) error {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// Kill kills it, if it is alive, and returns when it is gone.
func (p Process) Kill() error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil || !p.Alive() { // looked at after it is held: it cannot change hands any more
		if err == nil {
			unix.Close(fd)
		}
		return nil
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill %d: %w", p.PID, err)
	}
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return err
		}
	}
}
