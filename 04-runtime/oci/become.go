package oci

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// become is the last part, which create and exec share: from a process in the
// container with all of its rights to the program with its own.
func (b *birth) become() error {
	p := b.Spec.Process
	if b.Exec {
		if err := newSession(); err != nil {
			return err
		}
		if p.Terminal {
			if err := b.terminal(false); err != nil {
				return err
			}
		}
	}
	if !p.Terminal {
		if err := ownStdio(p.User); err != nil {
			return err
		}
	}
	env := b.environment()
	// As who we are, which may be more than the user can; if not, again as the user:
	// a folder on a file system of another's (NFS, FUSE) may be closed to root.
	early := unix.Chdir(p.Cwd)
	if errors.Is(early, unix.ENOENT) && !b.Exec {
		if os.MkdirAll(p.Cwd, 0o755) == nil {
			early = unix.Chdir(p.Cwd)
		}
	}
	if early != nil && !errors.Is(early, unix.EACCES) {
		return fmt.Errorf("chdir to %s: %w", p.Cwd, early)
	}
	if err := setupProcess(p, b.Filter); err != nil {
		return err
	}
	if early != nil {
		if err := unix.Chdir(p.Cwd); err != nil {
			return fmt.Errorf("chdir to %s: %w", p.Cwd, err)
		}
	}
	// The folder was reached by a descriptor, as /proc/self/fd/7 is (CVE-2024-21626):
	// the kernel says "(unreachable)", which is no path.
	if dir, err := unix.Getwd(); err != nil || !path.IsAbs(dir) {
		return fmt.Errorf("chdir to %s: it leads out of the container's root", p.Cwd)
	}
	program, err := lookup(p.Args[0], env)
	if err != nil {
		return err
	}
	if err := b.line.send(told{Did: "ready"}); err != nil {
		return err
	}
	if b.Fifo != 0 {
		if b.wait, err = Await(b.Fifo, b.proc); err != nil {
			return err
		}
		b.State.Status = specs.StateCreated
		if h := b.Spec.Hooks; h != nil {
			if err := runHooks("startContainer", h.StartContainer, *b.State); err != nil {
				return err
			}
		}
	}
	if err := lastFilter(p, b.Filter); err != nil {
		return err
	}
	return execError(program, unix.Exec(program, p.Args, env))
}

// environment is the program's: HOME is filled in, as login(1) would.
func (b *birth) environment() []string {
	p := b.Spec.Process
	env := append([]string{}, p.Env...)
	if _, ok := variable(env, "HOME"); !ok {
		env = append(env, "HOME="+home(p.User.UID))
	}
	if b.Listen > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(b.Listen), "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	return env
}

// variable is the last that env gives to a name.
func variable(env []string, name string) (last string, ok bool) {
	for _, e := range env {
		if v, has := strings.CutPrefix(e, name+"="); has {
			last, ok = v, true
		}
	}
	return last, ok
}

// home is the user's in the container's /etc/passwd (passwd(5)), "/" if it has none.
func home(uid uint32) string {
	text, _ := os.ReadFile("/etc/passwd")
	for l := range bytes.Lines(text) {
		f := strings.Split(strings.TrimSpace(string(l)), ":")
		if len(f) >= 6 && f[2] == strconv.Itoa(int(uid)) && f[5] != "" {
			return f[5]
		}
	}
	return "/"
}

// ownStdio gives the standard files to the container's user: it could not open
// /dev/stderr otherwise, which is the file behind a pipe of somebody else's.
func ownStdio(u specs.User) error {
	for fd := range 3 {
		var st, null unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fmt.Errorf("standard file %d: %w", fd, err)
		}
		if st.Uid == u.UID || st.Mode&unix.S_IFMT == unix.S_IFCHR && unix.Stat("/dev/null", &null) == nil && st.Rdev == null.Rdev {
			continue
		}
		// A file of a read-only file system, of a user who is not mapped, of FUSE: it stays whose it is.
		_ = unix.Fchown(fd, int(u.UID), -1)
	}
	return nil
}

// lookup finds the program as execvp(3) would, and fails now if it would fail. The
// words are those of Go's os/exec: dockerd takes its exit status, 127 or 126, from them.
func lookup(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, execError(name, executable(name))
	}
	dirs, ok := variable(env, "PATH")
	if !ok {
		dirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	found := error(unix.ENOENT)
	for dir := range strings.SplitSeq(dirs, ":") {
		file := path.Join(dir, name)
		if dir == "" {
			file = "./" + name
		}
		err := executable(file)
		if err == nil {
			return file, nil
		}
		if errors.Is(err, unix.EACCES) { // "not executable" says more than "not found"
			found = err
		}
	}
	if errors.Is(found, unix.ENOENT) {
		return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
	}
	return "", execError(name, found)
}

func executable(file string) error {
	var st unix.Stat_t
	switch err := unix.Stat(file, &st); {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return unix.EISDIR
	}
	return unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
}

func execError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT) && unix.Access(name, unix.F_OK) == nil:
		return fmt.Errorf("exec: %q: its interpreter (the #! line, or the dynamic loader): %w", name, err)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("exec: %q: %w: no program of this machine's kind, and no #! line", name, err)
	}
	return fmt.Errorf("exec: %q: %w", name, err)
}
