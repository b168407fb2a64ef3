package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/dockerd"
	"coracle/internal/sandbox"
)

// A stock Engine takes what was built here, by docker load and by docker pull, and
// runs it; what docker build and docker save make is read here.
func TestInterop_Docker(t *testing.T) {
	need(t, baseRoot, dockerd.Installed)
	u := newUser(t)
	u.does("build", "-t", "localhost/base", "-f", examples+"/base/Dockerfile", "@base")
	u.does("build", "-t", "localhost/hello", "--network", "none", examples+"/hello")
	d := dockerd.Start(t)
	file := t.TempDir() + "/ours.tar"
	u.does("save", "-o", file, "localhost/base", "localhost/hello")
	d.Docker("load", "-q", "-i", file)
	check.Equal(t, "docker run of our base", "coracle-base\n", d.Docker("run", "--rm", "--network", "none", "localhost/base", "sh", "-c", ". /etc/os-release; echo $ID"))
	check.Equal(t, "docker run of our hello, as its user", "1000\n<p>hello from a container\n",
		d.Docker("run", "--rm", "--network", "none", "--entrypoint", "sh", "localhost/hello", "-c", "id -u; grep hello.from /srv/index.html"))
	check.Equal(t, "what docker knows of its HEALTHCHECK", "true\n", d.Docker("inspect", "-f", "{{ne .Config.Healthcheck nil}}", "localhost/hello"))

	address := serve(t, newUser(t))
	u.does("tag", "localhost/hello", address+"/hello:1")
	u.does("push", address+"/hello:1")
	d.Docker("pull", "-q", address+"/hello:1")
	check.Equal(t, "docker's IDs of what it loaded and what it pulled", d.Docker("inspect", "-f", "{{.Id}}", "localhost/hello"), d.Docker("inspect", "-f", "{{.Id}}", address+"/hello:1"))

	// Theirs: a file that a later layer removes, a folder that it replaces, by docker build.
	dir := folderOf(t, map[string]string{
		"Dockerfile": "FROM localhost/base\nCOPY d /d\nRUN rm /d/gone && rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/new && ln /d/kept /d/twin && chown 12:34 /d/kept\n",
		"d/gone":     "", "d/kept": "kept\n", "d/sub/old": "",
	})
	d.Docker("build", "-q", "--network", "none", "-t", "theirs:1", dir)
	d.Docker("tag", "theirs:1", address+"/theirs:1")
	d.Docker("push", "-q", address+"/theirs:1")
	u.does("pull", address+"/theirs:1")
	saved := t.TempDir() + "/theirs.tar"
	d.Docker("save", "-o", saved, "theirs:1")
	u.does("load", "-i", saved)
	for _, name := range []string{"theirs:1", address + "/theirs:1"} {
		mnt := folder0(t)
		check.Equal(t, "the tree of "+name, "kept 12:34 2\nsub/new 0:0 1\ntwin 12:34 2\n",
			u.does("mount", name, mnt, "--", "sh", "-c", "cd "+mnt+"/d && find * -type f | sort | while read f; do stat -c '%n %u:%g %h' $f; done"))
	}
	var a, b inspected
	check.NoError(t, "parse", json.Unmarshal([]byte(u.does("inspect", "theirs:1")), &a))
	check.NoError(t, "parse", json.Unmarshal([]byte(u.does("inspect", address+"/theirs:1")), &b))
	check.Equal(t, "the IDs of what was saved and what was pushed", a.ID, b.ID)
}

// skopeo and umoci take what was built here, from an archive and from our registry.
func TestInterop_SkopeoAndUmoci(t *testing.T) {
	tools := []sandbox.Feature{baseRoot}
	for _, name := range []string{"skopeo", "umoci"} {
		tools = append(tools, sandbox.Feature{Name: name, Fix: "apt-get install " + name, Has: func() error {
			_, err := exec.LookPath(name)
			return err
		}})
	}
	need(t, tools...)
	u, server := newUser(t), newUser(t)
	u.does("build", "-t", "localhost/base", "-f", examples+"/base/Dockerfile", "@base")
	digest := strings.Fields(u.does("build", "-t", "localhost/hello", "--network", "none", examples+"/hello"))[1]
	address, dir := serve(t, server), t.TempDir()
	u.does("save", "-o", dir+"/ours.tar", "localhost/hello")
	skopeo := func(args ...string) string {
		return stranger(t, "skopeo", append([]string{"--tmpdir", dir, "--insecure-policy"}, args...)...)
	}
	skopeo("copy", "-q", "--dest-tls-verify=false", "--preserve-digests", "oci-archive:"+dir+"/ours.tar", "docker://"+address+"/hello:2")
	var seen struct{ Digest string }
	check.NoError(t, "parse", json.Unmarshal([]byte(skopeo("inspect", "--tls-verify=false", "docker://"+address+"/hello:2")), &seen))
	check.Equal(t, "the digest that skopeo inspect shows", digest, seen.Digest)
	check.Equal(t, "what we pull of what it pushed", address+"/hello:2 "+digest+"\n", newUser(t).does("pull", address+"/hello:2"))

	skopeo("copy", "-q", "--src-tls-verify=false", "docker://"+address+"/hello:2", "oci:"+dir+"/layout:2")
	flags := []string{"unpack", "--image", dir + "/layout:2", dir + "/bundle"}
	if sandbox.CurrentMode() != sandbox.Root {
		flags = append([]string{"unpack", "--rootless"}, flags[1:]...)
	}
	stranger(t, "umoci", flags...)
	theirs, err := os.ReadFile(dir + "/bundle/rootfs/srv/index.html")
	check.NoError(t, "read what umoci unpacked", err)
	u.does("unpack", "localhost/hello", dir+"/plain")
	ours, err := os.ReadFile(dir + "/plain/srv/index.html")
	check.True(t, "what umoci and we unpacked", err == nil && string(ours) == string(theirs), string(ours), string(theirs))
	check.Equal(t, "the names in both trees", names(t, dir+"/bundle/rootfs"), names(t, dir+"/plain"))
}

// stranger runs another's program and returns what it wrote to stdout.
func stranger(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR=")
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	check.NoError(t, fmt.Sprint(name, args), err)
	return string(out)
}

// names lists a tree, with modes.
func names(t *testing.T, root string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			all = append(all, fi.Mode().String()+" "+strings.TrimPrefix(path, root))
		}
		return err
	})
	check.NoError(t, "list "+root, err)
	return strings.Join(all, "\n")
}
