package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/04-runtime/oci"
	"coracle/internal/check"
)

// An ordinary user, who has one id and no rights, runs a container, looks into it and
// takes it away; nobody else's folder is taken for his.
func TestContainer_OrdinaryUser(t *testing.T) {
	n := newNode(t, realRoot)
	const uid = 54321 // who is in no /etc/subuid
	file, home := runtimeFile(t), t.TempDir()
	bundle := n.bundle("", func(s *specs.Spec) {
		root := home + "/root"
		check.NoError(t, "copy the base root", os.CopyFS(root, os.DirFS(s.Root.Path)))
		oci.MakeRootless(s, uid, uid)
		s.Root.Path, s.Process.Args = root, []string{"sleep", "1000"}
	})
	for _, dir := range []string{filepath.Dir(file), home, bundle} {
		for ; dir != os.TempDir(); dir = filepath.Dir(dir) {
			check.NoError(t, "open the way", os.Chmod(dir, 0o755))
		}
	}
	filepath.Walk(home, func(p string, _ os.FileInfo, _ error) error { return os.Lchown(p, uid, uid) })
	user := func(args ...string) (string, error) {
		cmd := exec.Command(file, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		cmd.Env = []string{"XDG_RUNTIME_DIR=" + home}
		var out output
		cmd.Stdout = out.make(t)
		cmd.Stderr = cmd.Stdout
		err := cmd.Run()
		return out.text(), err
	}
	ok := func(args ...string) string {
		t.Helper()
		out, err := user(args...)
		check.NoError(t, fmt.Sprintf("container %q as an ordinary user, which said %s", args, out), err)
		return out
	}
	ok("run", "--detach", "--bundle", bundle, "one")
	check.Equal(t, "its id and map, by exec", fmt.Sprintf("0\n%10d %10d %10d\n", 0, uid, 1), ok("exec", "one", "sh", "-c", "id -u; cat /proc/self/uid_map"))
	check.True(t, "container list", strings.Contains(ok("list"), "running"), ok("list"), "running")
	ok("delete", "--force", "one")
	check.Equal(t, "container list -q", "", ok("list", "-q"))

	stranger := t.TempDir()
	check.NoError(t, "give a folder away", os.Chown(stranger, 12345, 12345))
	check.NoError(t, "open it to all", os.Chmod(stranger, 0o777))
	out, err := user("--root", stranger, "create", "--bundle", bundle, "one")
	check.True(t, "create in a folder of somebody else's", err != nil && strings.Contains(out, "belongs to user 12345"), out, "it to be refused")
}
