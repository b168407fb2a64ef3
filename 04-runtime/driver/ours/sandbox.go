package ours

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/network"
	"coracle/04-runtime/oci"
	"coracle/04-runtime/shim"
)

// A sandbox is what sandbox.json keeps.
type sandbox struct {
	Config    driver.SandboxConfig
	CreatedAt time.Time
	Ready     bool
	IPs       []string
	Init      shim.Process // of a shared PID namespace
	Group     oci.Group
}

// A namespace of a pod: its name in /proc/PID/ns, and as a spec has it.
type namespace struct {
	kind string
	spec specs.LinuxNamespaceType
	flag uintptr
}

// namespaces lists those that a pod does not share with the node. The user namespace
// comes first: the others then belong to it.
func namespaces(c driver.SandboxConfig) (all []namespace) {
	add := func(wanted bool, kind string, spec specs.LinuxNamespaceType, flag uintptr) {
		if wanted {
			all = append(all, namespace{kind, spec, flag})
		}
	}
	add(c.UserNS != nil, "user", specs.UserNamespace, unix.CLONE_NEWUSER)
	add(!c.HostNetwork, "net", specs.NetworkNamespace, unix.CLONE_NEWNET)
	add(!c.HostNetwork, "uts", specs.UTSNamespace, unix.CLONE_NEWUTS) // the host's network goes by the host's name
	add(!c.HostIPC, "ipc", specs.IPCNamespace, unix.CLONE_NEWIPC)
	add(c.SharePID && !c.HostPID, "pid", specs.PIDNamespace, unix.CLONE_NEWPID)
	return all
}

// RunSandbox makes a sandbox.
func (d *Driver) RunSandbox(ctx context.Context, c driver.SandboxConfig) (driver.SandboxStatus, error) {
	id := newID()
	s := &sandbox{Config: c, CreatedAt: time.Now().UTC()}
	if err := d.begin("sandboxes", id, s); err != nil {
		return driver.SandboxStatus{}, err
	}
	err := d.runSandbox(ctx, id, s)
	if err != nil {
		err = fmt.Errorf("sandbox of pod %s/%s: %w", c.Namespace, c.Name, err)
	}
	return d.sandboxStatus(id, s), err
}

func (d *Driver) runSandbox(ctx context.Context, id string, s *sandbox) (err error) {
	if s.Config.CgroupParent != "" {
		if s.Group, err = oci.MakeGroup(path.Join(d.Cgroup, s.Config.CgroupParent), resources(s.Config.Resources)); err != nil {
			return err
		}
	}
	if err := d.hold(ctx, id, s); err != nil {
		return err
	}
	shm := d.path("sandboxes", id, "shm")
	if err := os.Mkdir(shm, 0o711); err != nil {
		return err
	}
	if err := unix.Mount("shm", shm, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=65536k"); err != nil {
		return fmt.Errorf("mount %s: %w", shm, err)
	}
	var addrs []netip.Addr
	if !s.Config.HostNetwork && d.Network != nil {
		p := network.Pod{ID: id, Name: s.Config.Namespace + "/" + s.Config.Name, NetNS: d.namespace(id, "net")}
		for _, port := range s.Config.Ports {
			p.Ports = append(p.Ports, network.Port(port))
		}
		if addrs, err = d.Network.Add(ctx, p); err != nil {
			return err
		}
	}
	for _, a := range addrs {
		s.IPs = append(s.IPs, a.String())
	}
	if err := d.writeEtc(id, s.Config, addrs); err != nil {
		return err
	}
	s.Ready = true
	return d.write("sandboxes", id, s)
}

// hold makes the namespaces and binds them to files: see shim.HoldMain.
func (d *Driver) hold(ctx context.Context, id string, s *sandbox) error {
	c := s.Config
	attr := &syscall.SysProcAttr{Setsid: true}
	h := shim.Hold{Sysctls: c.Sysctls}
	all := namespaces(c)
	for _, ns := range all {
		attr.Cloneflags |= ns.flag
		h.Net = h.Net || ns.kind == "net"
		h.Init = h.Init || ns.kind == "pid"
		if ns.kind == "uts" {
			h.Hostname = c.Hostname
		}
	}
	if len(all) == 0 && len(c.Sysctls) == 0 {
		return nil
	}
	if c.UserNS != nil {
		attr.UidMappings, attr.GidMappings = sysMaps(c.UserNS.UIDs), sysMaps(c.UserNS.GIDs)
		attr.GidMappingsEnableSetgroups = true
		attr.Credential = &syscall.Credential{}
	}
	cmd := exec.Command(d.Runtime, "hold")
	cmd.Args[0] = "coracle-runtime"
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	ended := make(chan error, 1)
	tell := json.NewEncoder(in)
	tell.Encode(h)
	said, err := io.ReadAll(out)
	go func() { ended <- cmd.Wait() }()
	fail := func(err error) error {
		cmd.Process.Kill()
		<-ended
		return fmt.Errorf("make namespaces: %w", err)
	}
	switch {
	case ctx.Err() != nil:
		return fail(ctx.Err())
	case err != nil:
		return fail(err)
	case string(said) != "ok":
		return fail(fmt.Errorf("%q", said))
	}
	if err := os.Mkdir(d.path("sandboxes", id, "ns"), 0o711); err != nil {
		return fail(err)
	}
	for _, ns := range all {
		if err := bind(fmt.Sprintf("/proc/%d/ns/%s", cmd.Process.Pid, ns.kind), d.namespace(id, ns.kind)); err != nil {
			return fail(err)
		}
	}
	if !h.Init {
		in.Close()
		return <-ended
	}
	s.Init = shim.ProcessOf(cmd.Process.Pid)
	if err := d.write("sandboxes", id, s); err != nil {
		return fail(err)
	}
	return tell.Encode(struct{ Stay bool }{true})
}

func sysMaps(from []specs.LinuxIDMapping) (to []syscall.SysProcIDMap) {
	for _, m := range from {
		to = append(to, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return to
}

// namespace is the file that one of a sandbox's namespaces is bound to.
func (d *Driver) namespace(id, kind string) string { return d.path("sandboxes", id, "ns", kind) }

// bind makes a file and binds another to it.
func bind(from, to string) error {
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, to, err)
	}
	return nil
}

// unmount takes away what is mounted at a path, and what is mounted there below it.
func unmount(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT):
			return nil // nothing (more) is
		case err != nil:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// writeEtc writes the files that all of a pod's containers see in /etc.
func (d *Driver) writeEtc(id string, c driver.SandboxConfig, addrs []netip.Addr) error {
	hostname := c.Hostname
	var node []byte
	if c.HostNetwork {
		if hostname == "" {
			hostname, _ = os.Hostname()
		}
		node, _ = os.ReadFile("/etc/hosts")
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf") // a node without one has pods without one
	if c.DNS != nil {
		resolv = network.DNS(*c.DNS).File()
	}
	for name, text := range map[string][]byte{
		"hosts": append(network.HostsFile(hostname, "", addrs, nil, node), c.Hosts...), "hostname": []byte(hostname + "\n"), "resolv.conf": resolv,
	} {
		if err := os.WriteFile(d.path("sandboxes", id, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// StopSandbox kills what runs in it and gives back what it had of the node.
func (d *Driver) StopSandbox(ctx context.Context, id string) error {
	var s sandbox
	if err := d.read("sandboxes", id, &s); errors.Is(err, driver.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if s.Ready { // from here on nothing is created in it
		s.Ready = false
		if err := d.write("sandboxes", id, s); err != nil {
			return err
		}
	}
	mine, err := d.containersOf(id)
	if err != nil {
		return err
	}
	for _, c := range mine {
		if err := d.Stop(ctx, c, "", 0); err != nil {
			return err
		}
	}
	if !s.Config.HostNetwork && d.Network != nil {
		if err := d.Network.Remove(ctx, id); err != nil {
			return err
		}
	}
	if err := s.Init.Kill(); err != nil {
		return err
	}
	bound, err := os.ReadDir(d.path("sandboxes", id, "ns"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	errs := []error{unmount(d.path("sandboxes", id, "shm"))}
	for _, f := range bound {
		errs = append(errs, unmount(d.namespace(id, f.Name())), os.Remove(d.namespace(id, f.Name())))
	}
	return errors.Join(errs...)
}

// RemoveSandbox removes it with its containers.
func (d *Driver) RemoveSandbox(ctx context.Context, id string) error {
	var s sandbox
	if err := d.read("sandboxes", id, &s); errors.Is(err, driver.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := d.StopSandbox(ctx, id); err != nil {
		return err
	}
	mine, err := d.containersOf(id)
	if err != nil {
		return err
	}
	for _, c := range mine {
		if err := d.Remove(ctx, c); err != nil {
			return err
		}
	}
	if err := d.removeGroup(id, s); err != nil {
		return err
	}
	return os.RemoveAll(d.path("sandboxes", id))
}

// removeGroup removes a pod's group, unless a later sandbox of the same pod is in it.
func (d *Driver) removeGroup(id string, s sandbox) error {
	if s.Config.CgroupParent == "" {
		return nil
	}
	all, err := d.list("sandboxes")
	if err != nil {
		return err
	}
	for _, other := range all {
		var o sandbox
		if other != id && d.read("sandboxes", other, &o) == nil && o.Config.CgroupParent == s.Config.CgroupParent {
			return nil
		}
	}
	if len(s.Group.Paths) == 0 { // it was killed before it could write them down
		if s.Group, err = oci.MakeGroup(path.Join(d.Cgroup, s.Config.CgroupParent), nil); err != nil {
			return err
		}
	}
	return s.Group.Remove()
}

// Sandboxes lists all.
func (d *Driver) Sandboxes(context.Context) (all []driver.SandboxStatus, err error) {
	ids, err := d.list("sandboxes")
	for _, id := range ids {
		var s sandbox
		switch err := d.read("sandboxes", id, &s); {
		case err == nil:
			all = append(all, d.sandboxStatus(id, &s))
		case !errors.Is(err, driver.ErrNotFound):
			return nil, err
		}
	}
	return all, err
}

func (d *Driver) sandboxStatus(id string, s *sandbox) driver.SandboxStatus {
	c := s.Config
	status := driver.SandboxStatus{
		ID: id, UID: c.UID, Name: c.Name, Namespace: c.Namespace, Attempt: c.Attempt, CreatedAt: s.CreatedAt,
		Ready: s.Ready, IPs: s.IPs, Labels: c.Labels, Annotations: c.Annotations,
	}
	// After a restart of the machine the files are there and nothing is bound to them.
	for _, ns := range namespaces(c) {
		var fs unix.Statfs_t
		if unix.Statfs(d.namespace(id, ns.kind), &fs) != nil || fs.Type != unix.NSFS_MAGIC {
			status.Ready = false
		}
		if ns.kind == "net" {
			status.NetNS = d.namespace(id, "net")
		}
		if ns.kind == "pid" && !s.Init.Alive() {
			status.Ready = false
		}
	}
	return status
}
