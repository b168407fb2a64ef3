package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// files asks whether the folders that builds and tests use can be used.
func files(o Options) []Check {
	checks := []Check{
		folder("checkout", o.Root, "clone it to a folder of yours on a local disk"),
		folder("cache", o.Cache, "export XDG_CACHE_HOME=/var/tmp/$USER/cache"),
		folder("temporary files", os.TempDir(), "mkdir -p ~/tmp && export TMPDIR=~/tmp"),
	}
	if home, err := os.UserHomeDir(); err == nil {
		if kind := network(home); kind != "" {
			checks = append(checks, warn("home", "export XDG_CACHE_HOME=/var/tmp/$USER/cache GOMODCACHE=/var/tmp/$USER/go-mod",
				"%s is on %s: builds are slow there, and ids of a range may not own files", home, kind))
		} else {
			checks = append(checks, ok("home", "%s is on a local disk", home))
		}
	}
	return append(checks, loopback())
}

// folder writes a program into dir and executes it.
func folder(name, dir, fix string) (c Check) {
	defer func() { c.Even = c.Level == Fail }()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(name, fix, []int{1, 2}, "%v", err)
	}
	test := filepath.Join(dir, fmt.Sprintf(".doctor-%d", os.Getpid()))
	defer os.Remove(test)
	if err := os.WriteFile(test, []byte("#!/bin/sh\n"), 0o700); err != nil {
		return fail(name, fix, []int{1, 2}, "%v", err)
	}
	switch err := exec.Command(test).Run(); {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EACCES):
		return fail(name, fix, []int{1, 2}, "%s is mounted noexec: test binaries cannot run there", dir)
	case err != nil && !errors.Is(err, syscall.ETXTBSY): // another thread forked while it was open
		return fail(name, fix, []int{1, 2}, "execute a file in %s: %v", dir, err)
	}
	if free := freeMB(dir); free < 1024 {
		return warn(name, "make room, or move it: "+fix, "%s has %d MB left; builds want 1 GB", dir, free)
	}
	if kind := network(dir); kind != "" {
		return warn(name, fix, "%s is on %s: it works, slowly", dir, kind)
	}
	return ok(name, "%s is writable, and programs run there", dir)
}

func loopback() Check {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return warn("ports", "allow it in the container or firewall", "listen on 127.0.0.1: %v", err)
	}
	l.Close()
	return ok("ports", "127.0.0.1 can be listened on")
}
