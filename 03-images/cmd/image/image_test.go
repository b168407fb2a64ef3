package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

func TestImage_FromBuildToCollect(t *testing.T) {
	need(t)
	u := newUser(t)
	digest := u.builds("demo:1")
	check.True(t, "ls", strings.Contains(u.does("ls"), "demo:1 "), u.does("ls"), "demo:1")
	var seen inspected
	check.NoError(t, "parse what inspect prints", json.Unmarshal([]byte(u.does("inspect", "demo:1")), &seen))
	check.Equal(t, "the digest that inspect shows", digest, string(seen.Target.Digest))
	check.Equal(t, "the layers that inspect shows", 2, len(seen.Layers))
	history := u.does("history", "demo:1")
	check.True(t, "history", strings.Index(history, "ENV A=b") > 0 && strings.Index(history, "ENV A=b") < strings.Index(history, "COPY a"), history, "the last step first")

	// By each of its names it is the same image.
	hex := strings.TrimPrefix(seen.ID, "sha256:")
	for _, name := range []string{"docker.io/library/demo:1", digest, seen.ID, hex[:12], hex[:4]} {
		var again inspected
		check.NoError(t, "parse", json.Unmarshal([]byte(u.does("inspect", name)), &again))
		check.Equal(t, "the ID of "+name, seen.ID, again.ID)
	}

	u.does("tag", "demo:1", "localhost:5000/other:2")
	u.does("rm", "demo:1")
	_, errs, status := u.calls("inspect", "demo:1")
	check.True(t, "inspect after rm", status == 125 && strings.Contains(errs, "demo:1: not found"), errs, "status 125 and not found")
	u.does("gc", "--all")
	check.Equal(t, "the other name after gc", "first demo:1\n", u.does("mount", "localhost:5000/other:2", folder0(t), "--", "cat", folder0(t)+"/a"))
	u.does("rm", hex[:12])
	check.True(t, "gc --dry-run", strings.HasPrefix(u.does("gc", "--all", "--dry-run"), "would remove 4 blobs, 2 layers"), u.does("gc", "--all", "--dry-run"), "4 blobs and 2 layers")
	check.True(t, "gc", strings.HasPrefix(u.does("gc", "--all"), "removed 4 blobs, 2 layers"), u.does("gc", "--dry-run"), "the same")
	blobs, err := os.ReadDir(u.store + "/blobs/sha256")
	check.True(t, "blobs after gc", err == nil && len(blobs) == 0, fmt.Sprint(len(blobs)), "none")
}

// folder0 is one folder to mount on, the same for each call of a test.
func folder0(t *testing.T) string {
	dir := os.TempDir() + "/mnt-" + t.Name()
	os.MkdirAll(dir, 0o755)
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

func TestImage_SaveAndLoad(t *testing.T) {
	need(t)
	u, to := newUser(t), newUser(t)
	digest := u.builds("demo:1")
	file := t.TempDir() + "/demo.tar"
	u.does("save", "-o", file, "demo:1")
	check.Equal(t, "load -i", "demo:1 "+digest+"\n", to.does("load", "-i", file))
	to.stdin = []byte(u.does("save", "-z", "demo:1"))
	check.Equal(t, "load from a pipe, gzip'd", "demo:1 "+digest+"\n", to.does("load"))
	check.Equal(t, "load under another name", "other:latest "+digest+"\n", to.does("load", "--name", "other"))
	check.Equal(t, "what was loaded, mounted", "second\n", to.does("mount", "other", folder0(t), "--", "cat", folder0(t)+"/dir/b"))
	_, errs, status := u.calls("save", "-o", file, "demo:1", "none:1")
	check.True(t, "save what is not there", status == 125 && strings.Contains(errs, "none:1"), errs, "status 125")
	check.NoError(t, "tear a layer", os.Truncate(blobOf(t, u, "demo:1", 1), 10))
	_, errs, status = u.calls("save", "-o", file+"2", "demo:1")
	check.True(t, "save with a torn layer", status == 125 && strings.Contains(errs, "\nimage: "), errs, "status 125")
	fi, err := os.ReadDir(file[:strings.LastIndex(file, "/")])
	check.True(t, "the folder of the archive", err == nil && len(fi) == 1, fmt.Sprint(fi), "the archive alone")
}

func TestImage_RegistryThereAndBack(t *testing.T) {
	need(t)
	server, u, other := newUser(t), newUser(t), newUser(t)
	address := serve(t, server)
	digest := u.builds(address + "/demo:1")
	check.Equal(t, "push", address+"/demo:1 "+digest+"\n", u.does("push", address+"/demo:1"))
	check.Equal(t, "pull", address+"/demo:1 "+digest+"\n", other.does("pull", address+"/demo:1"))
	check.Equal(t, "pull by digest", address+"/demo@"+digest+" "+digest+"\n", other.does("pull", address+"/demo@"+digest))
	_, errs, status := other.calls("pull", address+"/none:1")
	check.True(t, "pull what is not there", status == 125 && strings.Count(errs, "\n") == 1, errs, "status 125 and one line")
	check.True(t, "ls of the registry's store", strings.Contains(server.does("ls"), "registry.internal/demo:1"), server.does("ls"), "registry.internal/demo:1")
	from := folderOf(t, map[string]string{"Dockerfile": "FROM " + address + "/demo:1\nCOPY c /c\n", "c": "third\n"})
	third := newUser(t)
	third.does("build", "-t", "more", from)
	check.Equal(t, "what was built on a base that was pulled", "second\nthird\n", third.does("mount", "more", folder0(t), "--", "cat", folder0(t)+"/dir/b", folder0(t)+"/c"))
}

// serve runs image registry until the test ends, and returns its address.
func serve(t *testing.T, u *user) string {
	t.Helper()
	cmd := u.command("registry", "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start image registry", cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		check.Equal(t, "the exit status of image registry after SIGTERM", 0, cmd.ProcessState.ExitCode())
	})
	var address string
	_, err = check.Within(t, "start image registry", "its address", func() (int, error) { return fmt.Fscanf(out, "listening on %s\n", &address) })
	check.NoError(t, "read its address", err)
	return address
}

func TestImage_Unpack(t *testing.T) {
	need(t)
	u := newUser(t)
	u.builds("demo:1")
	dir := t.TempDir() + "/new"
	u.does("unpack", "demo:1", dir)
	body, err := os.ReadFile(dir + "/dir/b")
	check.True(t, "a file of the second layer", err == nil && string(body) == "second\n", string(body), "second")
	_, errs, status := u.calls("unpack", "demo:1", dir)
	check.True(t, "unpack into a folder that is not empty", status == 125 && strings.Contains(errs, "not empty"), errs, "status 125")
	check.NoError(t, "tear a layer", os.Truncate(blobOf(t, u, "demo:1", 1), 10))
	for _, torn := range []string{t.TempDir() + "/torn", t.TempDir()} {
		_, errs, status = u.calls("unpack", "demo:1", torn)
		check.True(t, "unpack with a torn layer", status == 125 && strings.Contains(errs, "\nimage: "), errs, "status 125")
		entries, _ := os.ReadDir(torn)
		check.True(t, "what is left of it", len(entries) == 0, fmt.Sprint(entries), "nothing")
	}
}

// blobOf is the file of an image's layer.
func blobOf(t *testing.T, u *user, name string, layer int) string {
	t.Helper()
	var seen inspected
	check.NoError(t, "parse what inspect prints", json.Unmarshal([]byte(u.does("inspect", name)), &seen))
	return u.store + "/blobs/sha256/" + seen.Layers[layer].Digest.Encoded()
}

func TestImage_Mount(t *testing.T) {
	need(t)
	u := newUser(t)
	u.builds("demo:1")
	dir := t.TempDir()
	before := left(t)
	_, errs, status := u.calls("mount", "demo:1", dir, "--", "touch", dir+"/x")
	check.True(t, "write to it", status == 1 && strings.Contains(errs, "ead-only"), errs, "a read-only file system")
	check.Equal(t, "write to it with --writable", "x\n", u.does("mount", "--writable", "demo:1", dir, "--", "sh", "-c", "echo x > "+dir+"/a; cat "+dir+"/a"))
	check.Equal(t, "what was written, afterwards", "first demo:1\n", u.does("mount", "demo:1", dir, "--", "cat", dir+"/a"))
	_, _, status = u.calls("mount", "demo:1", dir, "--", "sh", "-c", "exit 7")
	check.Equal(t, "the status of a command that ends with 7", 7, status)
	_, _, status = u.calls("mount", "demo:1", dir, "--", "sh", "-c", "kill -9 $$")
	check.Equal(t, "the status of one that a signal ended", 137, status)
	check.Equal(t, "what is left", before, left(t))

	script := folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY --chmod=0755 run /run\n", "run": "#!/bin/sh\necho ran\n"})
	u.does("build", "-t", "script", script)
	check.Equal(t, "a command that is in the image", "ran\n", u.does("mount", "script", dir, "--", dir+"/run"))

	// kill -9 takes the command along.
	cmd := u.command("mount", "demo:1", dir, "--", "sh", "-c", "echo begun; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start image mount", cmd.Start())
	begun := make([]byte, 6)
	check.Within(t, "image mount", "its command to begin", func() (int, error) { return io.ReadFull(out, begun) })
	check.NoError(t, "kill -9", cmd.Process.Kill())
	cmd.Wait()
	check.Eventually(t, "kill -9", "the command to be gone", func() bool { return left(t) == before })

	// For all to see: until somebody unmounts it.
	u.does("mount", "demo:1", dir)
	body, err := os.ReadFile(dir + "/a")
	check.True(t, "mount without a command", err == nil && string(body) == "first demo:1\n", string(body), "first demo:1")
	check.NoError(t, "unmount it", unix.Unmount(dir, 0))
	check.Equal(t, "what is left then", before, left(t))
	entries, err := os.ReadDir(u.store + "/active")
	check.True(t, "snapshots", err == nil && strings.Count(fmt.Sprint(entries), "tmp-") == 0, fmt.Sprint(entries), "none")
}
