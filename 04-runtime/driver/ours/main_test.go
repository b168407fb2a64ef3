package ours

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/03-images/userns"
	"coracle/04-runtime/crilog"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/network"
	"coracle/04-runtime/oci"
	"coracle/04-runtime/shim"
	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/exercise"
	box "coracle/internal/sandbox"
)

// The test binary is the small program too, by its name.
func TestMain(m *testing.M) {
	o := box.Options{Dir: "04-runtime/driver/ours", Cgroup: true, Reexec: func() {
		oci.Init()
		if os.Args[0] == "coracle-runtime" {
			shim.Program()
		}
		if os.Args[0] == "test:agent" {
			agent(os.Args[1])
		}
	}}
	remove := o.OnDisk()
	code := box.Main(m, o)
	remove()
	os.Exit(code)
}

var baseRoot = box.Feature{Name: "the base root file system", Fix: "./lab run 1 isolate -- true", Has: func() error {
	_, err := base.Current()
	return err
}}

const imageName = "test.example/base:1"

// A node is a driver with a store that has one image, the base root.
type node struct {
	*Driver
	t   testing.TB
	dir string
	net *network.Node
}

func newNode(t testing.TB) *node {
	t.Helper()
	exercise.NeedAll(t)
	box.Need(t, baseRoot)
	n := &node{t: t, dir: t.TempDir()}
	check.NoError(t, "open the way for root of a pod's user namespace", errors.Join(os.Chmod(filepath.Dir(n.dir), 0o711), os.Chmod(n.dir, 0o711)))
	n.open()
	n.addImage(imageName, v1.ImageConfig{Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"echo image"}, Env: []string{"PATH=/bin", "FROM=image"}, StopSignal: "SIGINT"})
	var err error
	n.net, err = network.Open(t.Context(), network.Config{Name: "test", Ranges: []netip.Prefix{netip.MustParsePrefix("10.88.0.0/24")}, NoNFT: true, Save: func(network.State) error { return nil }})
	check.NoError(t, "open the network", err)
	n.Network = n.net
	t.Cleanup(func() {
		ctx := context.Background()
		all, _ := n.Sandboxes(ctx)
		for _, s := range all {
			check.NoError(t, "RemoveSandbox", n.RemoveSandbox(ctx, s.ID))
		}
		n.Close()
		check.NoError(t, "take the network down", n.net.Destroy(ctx))
		n.nothingLeft()
	})
	return n
}

// open is what an agent does when it begins.
func (n *node) open() {
	n.t.Helper()
	var nw Network
	if n.Driver != nil {
		nw = n.Network
		n.Close()
	}
	d, err := open(n.dir)
	check.NoError(n.t, "Open", err)
	n.Driver = d
	n.Network = nw
}

func open(dir string) (*Driver, error) {
	store, err := images.Open(filepath.Join(dir, "images"), userns.Owners())
	if err != nil {
		return nil, err
	}
	return Open(Config{Dir: filepath.Join(dir, "d"), Runtime: "/proc/self/exe", Store: store, Cgroup: "driver"})
}

// addImage makes an image of the base root.
func (n *node) addImage(name string, c v1.ImageConfig) {
	n.t.Helper()
	root, err := base.Current()
	check.NoError(n.t, "find the base root", err)
	release, err := n.Store.Share(n.t.Context())
	check.NoError(n.t, "Share", err)
	defer release()
	layer, diff, err := n.Store.CommitLayer(n.t.Context(), root, images.DiffOptions{Owners: n.Store.Owners()})
	check.NoError(n.t, "make a layer", err)
	put := func(mediaType string, v any) images.Descriptor {
		b, err := json.Marshal(v)
		check.NoError(n.t, "encode", err)
		d, err := n.Store.Blobs().Put(mediaType, b)
		check.NoError(n.t, "put a blob", err)
		return d
	}
	config := put(v1.MediaTypeImageConfig, v1.Image{Platform: images.HostPlatform(), Config: c, RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diff}}})
	manifest := put(v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: []images.Descriptor{layer}})
	check.NoError(n.t, "Tag", n.Store.Tag(n.t.Context(), name, manifest))
	img, err := n.Store.Image(name, images.HostPlatform())
	check.NoError(n.t, "find the image", err)
	_, err = n.Store.Unpack(n.t.Context(), img, nil)
	check.NoError(n.t, "Unpack", err)
}

// nothingLeft is the leak check: of mounts, folders, links, groups and processes.
func (n *node) nothingLeft() {
	n.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(n.t, "read the mounts", err)
	for line := range strings.Lines(string(mounts)) {
		check.True(n.t, "what is mounted", !strings.Contains(line, n.dir), line, "nothing of the driver's")
	}
	for _, kind := range []string{"sandboxes", "containers", "runtime"} {
		entries, _ := os.ReadDir(n.path(kind))
		check.Equal(n.t, "what is left in "+kind, 0, len(entries))
	}
	snapshots, err := n.Store.Snapshots()
	check.NoError(n.t, "Snapshots", err)
	check.Equal(n.t, "snapshots that are left", 0, len(snapshots))
	filepath.WalkDir("/sys/fs/cgroup", func(path string, _ os.DirEntry, _ error) error {
		check.True(n.t, "groups", filepath.Base(path) != "poduid", path, "none of a pod")
		return nil
	})
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check.NoError(n.t, "list processes", err)
	for _, p := range procs {
		text, _ := os.ReadFile(p)
		check.True(n.t, "processes", !bytes.HasPrefix(text, []byte("coracle-runtime\x00")), string(text), "none of the driver's")
	}
}

// pod makes a sandbox.
func (n *node) pod(change func(*driver.SandboxConfig)) driver.SandboxStatus {
	n.t.Helper()
	c := driver.SandboxConfig{UID: "uid", Name: "web", Namespace: "default", Hostname: "web", LogDir: filepath.Join(n.dir, "logs"), Labels: map[string]string{"a": "b"}, CgroupParent: "/kubepods/poduid"}
	if change != nil {
		change(&c)
	}
	s, err := check.Within(n.t, "RunSandbox", "a sandbox", func() (driver.SandboxStatus, error) { return n.RunSandbox(context.Background(), c) })
	check.NoError(n.t, "RunSandbox", err)
	check.True(n.t, "the sandbox", s.Ready, "not ready", "ready")
	return s
}

// create makes a container that runs a script, run starts it.
var logs atomic.Int32

func (n *node) create(pod, script string, change func(*driver.ContainerConfig)) string {
	n.t.Helper()
	c := driver.ContainerConfig{Name: "main", Image: imageName, Args: []string{script}, LogPath: fmt.Sprintf("main/%d.log", logs.Add(1))}
	if change != nil {
		change(&c)
	}
	id, err := check.Within(n.t, "Create", "a container", func() (string, error) { return n.Create(context.Background(), pod, c) })
	check.NoError(n.t, "Create", err)
	return id
}

func (n *node) run(pod, script string, change func(*driver.ContainerConfig)) string {
	n.t.Helper()
	id := n.create(pod, script, change)
	check.NoError(n.t, "Start", n.Start(n.t.Context(), id))
	return id
}

// ends waits for a container's end.
func (n *node) ends(id string) (c driver.ContainerStatus) {
	n.t.Helper()
	check.Eventually(n.t, "the container", "it to exit", func() bool {
		c = n.status(id)
		return c.State == driver.Exited
	})
	return c
}

func (n *node) status(id string) driver.ContainerStatus {
	n.t.Helper()
	c, err := n.Container(context.Background(), id)
	check.NoError(n.t, "Container", err)
	return c
}

func (n *node) log(id string) string {
	n.t.Helper()
	ended, err := check.Within(n.t, "Wait", "its log to be complete", func() (shim.State, error) { return n.client(id).Wait(context.Background()) })
	check.NoError(n.t, "Wait", err)
	_ = ended
	var b bytes.Buffer
	check.NoError(n.t, "read the log", crilog.Read(n.t.Context(), n.status(id).LogPath, crilog.ReadOptions{Tail: -1}, &b, &b))
	return b.String()
}

// prints runs a script to its end.
func (n *node) prints(pod, want, script string, change func(*driver.ContainerConfig)) {
	n.t.Helper()
	id := n.run(pod, script, change)
	got := n.log(id)
	check.Equal(n.t, "what "+script+" prints", want, strings.TrimSuffix(got, "\n"))
	check.NoError(n.t, "Remove", n.Remove(n.t.Context(), id))
}

const forever = "while :; do sleep 0.05; done"

// agent runs a pod and waits to be killed.
func agent(dir string) {
	ctx := context.Background()
	d, err := open(dir)
	var s driver.SandboxStatus
	if err == nil {
		s, err = d.RunSandbox(ctx, driver.SandboxConfig{UID: "uid", Name: "web", Namespace: "default", CgroupParent: "/kubepods/poduid"})
	}
	var id string
	if err == nil {
		id, err = d.Create(ctx, s.ID, driver.ContainerConfig{Name: "main", Image: imageName, Args: []string{"read line; exit 3"}, Stdin: true, StdinOnce: true})
	}
	if err == nil {
		err = d.Start(ctx, id)
	}
	fmt.Println(id, err)
	select {}
}

// inPod runs f in a pod's network.
func inPod(n *node, pod string, f func() error) error {
	return network.InNetNS(n.namespace(pod, "net"), f)
}
