package shim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// A Hold is what is set in a pod's new namespaces.
type Hold struct {
	Hostname string            `json:"hostname,omitempty"`
	Sysctls  map[string]string `json:"sysctls,omitempty"`
	Net      bool              `json:"net,omitempty"`  // the network namespace is new
	Init     bool              `json:"init,omitempty"` // stay, as the first process of a PID namespace
}

// HoldMain is `coracle-runtime hold`: a process whose namespaces are a pod's. It sets
// them up and says so; once they are bound to files it is needed no more, unless the
// PID namespace is shared: that one ends with its first process, which must also wait
// for those whose parents have ended (pid_namespaces(7)).
//
//	agent ── clone ──▶ hold
//	      ── Hold ───▶ host name, lo, sysctls
//	      ◀── "ok" ───
//	binds /proc/PID/ns/*
//	      ── end ────▶ exit, or wait for orphans
func HoldMain() int {
	var h Hold
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&h); err != nil {
		return 1 // the agent is gone
	}
	if err := h.setUp(); err != nil {
		fmt.Print(err)
		return 1
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	fmt.Print("ok")
	os.Stdout.Close()
	var more struct{ Stay bool }
	if err := in.Decode(&more); err != nil && err != io.EOF || !more.Stay {
		return 0 // not bound: the agent was killed meanwhile, and nobody else knows of it
	}
	shed()
	for {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
				break
			}
		}
		<-signals
	}
}

func (h Hold) setUp() error {
	if h.Hostname != "" {
		if err := unix.Sethostname([]byte(h.Hostname)); err != nil {
			return fmt.Errorf("sethostname: %w", err)
		}
	}
	if h.Net {
		if err := namespaces.LoopbackUp(); err != nil {
			return fmt.Errorf("lo: %w", err)
		}
	}
	names := make([]string, 0, len(h.Sysctls))
	for name := range h.Sysctls {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		// A name is of dots, or of slashes where a part has a dot of its own.
		path := name
		if !strings.Contains(path, "/") {
			path = strings.ReplaceAll(path, ".", "/")
		}
		if err := os.WriteFile("/proc/sys"+filepath.Clean("/"+path), []byte(h.Sysctls[name]), 0); err != nil {
			return fmt.Errorf("sysctl %s: %w", name, err)
		}
	}
	return nil
}
