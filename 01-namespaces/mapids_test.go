package namespaces

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// mapped is what a process says of itself once its ids are mapped.
type mapped struct {
	UID, GID       int
	UIDMap, GIDMap string // spaces as one
	Setgroups      string
}

// A child waits until its input ends; by then somebody has written its maps.
var mappedChild = reporting("mapped", func([]string) (any, error) {
	io.Copy(io.Discard, os.Stdin)
	read := func(name string) string {
		text, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			return err.Error()
		}
		return strings.Join(strings.Fields(string(text)), " ")
	}
	return mapped{UID: os.Getuid(), GID: os.Getgid(), UIDMap: read("uid_map"), GIDMap: read("gid_map"), Setgroups: read("setgroups")}, nil
})

// A child starts another in a user namespace, and maps its ids. Arguments: the
// two maps as JSON, and PATH.
var mapperChild = reporting("mapper", func(args []string) (any, error) {
	var uids, gids []IDMap
	if err := errors.Join(json.Unmarshal([]byte(args[0]), &uids), json.Unmarshal([]byte(args[1]), &gids), os.Setenv("PATH", args[2])); err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "test:" + mappedChild
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start a child in a user namespace: %w", err)
	}
	failed := MapIDs(cmd.Process.Pid, uids, gids)
	stdin.Close()
	var r report[mapped]
	if err := errors.Join(cmd.Wait(), json.Unmarshal(out.Bytes(), &r)); err != nil {
		return nil, err
	}
	return r.Saw, failed
})

// asUser is how a process without any privilege is started: the only id of its
// user namespace is 1000. Where it can be, setgroups is still allowed there.
func asUser() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
		GidMappingsEnableSetgroups: sandbox.CurrentMode() != sandbox.Single,
	}
}

func mapIn(t testing.TB, attr *syscall.SysProcAttr, uids, gids []IDMap, path string) (mapped, error) {
	t.Helper()
	u, err1 := json.Marshal(uids)
	g, err2 := json.Marshal(gids)
	check.NoError(t, "encode the maps", errors.Join(err1, err2))
	return reportAs[mapped](t, mapperChild, attr, string(u), string(g), path)
}

// fakeTools makes a folder with a newuidmap and a newgidmap that write their
// arguments to its file log and then do what the scripts say.
func fakeTools(t *testing.T, uid, gid string) string {
	dir := t.TempDir()
	for name, script := range map[string]string{"newuidmap": uid, "newgidmap": gid} {
		text := "#!/bin/sh\nPATH=/usr/bin:/bin; echo \"${0##*/} $@\" >> " + dir + "/log\n" + script + "\n"
		check.NoError(t, "write a tool", os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	return dir
}

// realTools needs the tools' set-uid bit to work, which it does not in a user
// namespace where the machine's root is nobody.
func realTools(t *testing.T) {
	sandbox.Need(t, sandbox.Feature{Name: "newuidmap as set-uid root", Fix: "apt-get install uidmap, and run the tests as root", Has: func() error {
		if sandbox.CurrentMode() != sandbox.Root {
			return errors.New("the tests run in a user namespace")
		}
		return errors.Join(lookPath("newuidmap"), lookPath("newgidmap"))
	}})
	const nobody = 65534
	allowed := filepath.Join(t.TempDir(), "subids")
	check.NoError(t, "write the subordinate ids", os.WriteFile(allowed, []byte("nobody:200000:65536\n"), 0o644))
	for outside, want := range map[int]string{200000: "", 300000: "newuidmap"} {
		maps := []IDMap{{0, nobody, 1}, {1, outside, 65535}}
		saw, err := reportOf[mapped](t, nobodyChild, unix.CLONE_NEWNS, allowed, fmt.Sprint(outside))
		did := fmt.Sprintf("MapIDs(%v) by nobody, who has 200000 and 65535 more", maps)
		if want != "" {
			check.ErrorHas(t, did, err, []string{want})
			check.True(t, did, !strings.Contains(err.Error(), "\n"), err.Error(), "an error of one line")
			continue
		}
		check.NoError(t, did, err)
		text := fmt.Sprintf("0 %d 1 1 %d 65535", nobody, outside)
		check.Equal(t, "who it is inside", mapped{UIDMap: text, GIDMap: text, Setgroups: "allow"}, saw)
	}
}

func lookPath(name string) error { _, err := exec.LookPath(name); return err }

// A child gives nobody the ids of a file, in its own mounts, and maps as nobody.
var nobodyChild = reporting("nobody", func(args []string) (any, error) {
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if err := unix.Mount(args[0], file, "", unix.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("bind on %s: %w", file, err)
		}
	}
	maps := `[{"container":0,"host":65534,"size":1},{"container":1,"host":` + args[1] + `,"size":65535}]`
	cmd := exec.Command("/proc/self/exe", maps, maps, os.Getenv("PATH"))
	cmd.Args[0] = "test:" + mapperChild
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var r report[mapped]
	if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
		return nil, err
	}
	if r.Err != nil {
		return r.Saw, r.Err
	}
	return r.Saw, nil
})
