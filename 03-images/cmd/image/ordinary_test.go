package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	accounts "os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// An ordinary user works in namespaces of his own: with the ids that he has, or with
// his own alone.
func TestImage_OrdinaryUser(t *testing.T) {
	need(t, sandbox.Feature{Name: "another user's id", Fix: "./lab vm test 3, or a range in /etc/subuid", Has: func() error {
		if sandbox.CurrentMode() == sandbox.Single {
			return fmt.Errorf("one id is mapped")
		}
		return nil
	}})
	t.Run("one id", func(t *testing.T) { ordinary(t, 12345, 12345) })
	t.Run("a range of ids", func(t *testing.T) {
		sandbox.Need(t, sandbox.Feature{Name: "a user with a range of ids", Fix: "as root: apt-get install uidmap, and a user in /etc/subuid and /etc/subgid", Has: func() error {
			if sandbox.CurrentMode() != sandbox.Root {
				return fmt.Errorf("only root becomes another user who has one")
			}
			_, _, err := withRange()
			return err
		}})
		uid, gid, err := withRange()
		check.NoError(t, "find a user with a range", err)
		ordinary(t, uid, gid)
	})
}

// withRange finds a user whom /etc/subuid gives ids.
func withRange() (uid, gid int, err error) {
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile("/etc/subuid")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		if u, err := accounts.Lookup(name); err == nil && u.Uid != "0" {
			uid, err1 := strconv.Atoi(u.Uid)
			gid, err2 := strconv.Atoi(u.Gid)
			return uid, gid, errors.Join(err1, err2)
		}
	}
	return 0, 0, fmt.Errorf("/etc/subuid names nobody who is known")
}

func ordinary(t *testing.T, uid, gid int) {
	u := newUser(t)
	home := t.TempDir()
	for dir := home; dir != os.TempDir(); dir = dir[:strings.LastIndex(dir, "/")] {
		check.NoError(t, "let the user in", os.Chmod(dir, 0o755))
	}
	check.NoError(t, "give the user a home", os.Chown(home, uid, gid))
	u.store = home + "/store"
	u.as = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if _, errs, status := u.calls("gc"); status != 0 && strings.Contains(errs, "no user namespace for an ordinary user here") {
		t.Skip(sandbox.Cannot, errs)
	}
	before := left(t)
	u.builds("demo:1")
	check.Equal(t, "mount for a command", "first demo:1\n", u.does("mount", "demo:1", home, "--", "cat", home+"/a"))
	_, _, status := u.calls("mount", "demo:1", home, "--", "sh", "-c", "exit 7")
	check.Equal(t, "the status of a command that ends with 7", 7, status)
	_, errs, status := u.calls("mount", "demo:1", home)
	check.True(t, "mount for all", status == 125 && strings.Contains(errs, "only root"), errs, "status 125 and what to do")
	u.does("unpack", "demo:1", home+"/plain")
	for _, name := range []string{"/a", "/dir/b"} {
		var st unix.Stat_t
		check.NoError(t, "look at what was unpacked", unix.Lstat(home+"/plain"+name, &st))
		check.Equal(t, "the owner of "+name, uid, int(st.Uid))
	}
	u.does("rm", "demo:1")
	u.does("gc", "--all")
	check.Equal(t, "what is left", before, left(t))
}
