// Package cni connects pods by CNI plugins: programs that somebody else wrote, and a
// file that says which, in which order and with which settings (the CNI specification,
// containernetworking/cni, SPEC.md). It stands where network.Node would.
//
//	agent ── Add(pod) ──▶ loopback ──▶ each plugin of the list, with the result of the
//	                                   one before ──▶ the pod's addresses
//
// A plugin is executed with the pod's namespace and id in its environment and its
// settings on stdin; libcni keeps what it was told in a folder, so that Remove can tell
// it the same again, also after the file was changed.
//
// Guarantees: as network.Node's: Add can be repeated, an Add that fails is undone,
// Remove of what is not there is no error.
//
// Caveats: what plugins forget, such as an address on a bridge when the last pod has
// gone, stays. The full-size system: containerd/go-cni; cri-o/ocicni.
package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/containernetworking/cni/libcni"
	types "github.com/containernetworking/cni/pkg/types/100"

	"coracle/04-runtime/network"
)

// Where configurations and plugins are by custom; Debian has its plugins in the last.
var (
	ConfDir = "/etc/cni/net.d"
	BinDirs = []string{"/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"}
)

// ErrNone is that a folder holds no configuration.
var ErrNone = errors.New("no CNI configuration")

// A Plugins is a list of plugins that every pod is given to.
type Plugins struct {
	list     *libcni.NetworkConfigList
	loopback *libcni.NetworkConfigList
	cni      *libcni.CNIConfig
}

// Load takes the configuration of a folder: the first by name that ends in .conflist,
// .conf or .json, as the kubelet's runtimes do. A plugin that is in none of bins is an
// error here already. state is where libcni keeps what it needs for Remove.
//
// Errors: ErrNone; a file that is no configuration, with its path.
func Load(ctx context.Context, confDir string, bins []string, state string) (*Plugins, error) {
	files, err := libcni.ConfFiles(confDir, []string{".conflist", ".conf", ".json"})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", confDir, ErrNone)
	}
	slices.Sort(files)
	p := &Plugins{cni: libcni.NewCNIConfigWithCacheDir(bins, state, nil)}
	if p.list, err = load(files[0]); err != nil {
		return nil, fmt.Errorf("CNI configuration %s: %w", files[0], err)
	}
	p.loopback, err = libcni.NetworkConfFromBytes([]byte(`{"cniVersion": "0.4.0", "name": "loopback", "plugins": [{"type": "loopback"}]}`))
	if err != nil {
		return nil, err
	}
	for _, l := range []*libcni.NetworkConfigList{p.loopback, p.list} {
		if _, err := p.cni.ValidateNetworkList(ctx, l); err != nil {
			return nil, fmt.Errorf("CNI configuration %s: %w: apt-get install containernetworking-plugins", files[0], err)
		}
	}
	return p, nil
}

// load reads a list, or a single plugin as a list of one.
func load(file string) (*libcni.NetworkConfigList, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if l, err := libcni.NetworkConfFromFile(file); err == nil && len(l.Plugins) > 0 {
		return l, nil
	} else if one, err1 := libcni.NetworkPluginConfFromBytes(text); err1 != nil {
		return nil, err
	} else if one.Network.Type == "" {
		return nil, errors.New("want plugins, or one with a type")
	} else {
		return libcni.ConfListFromConf(one)
	}
}

// Name is the configuration's.
func (p *Plugins) Name() string { return p.list.Name }

// runtime is what plugins are told of a pod. Those that say they can map ports are
// told which.
func runtime(pod network.Pod) *libcni.RuntimeConf {
	type mapping struct {
		HostPort      int    `json:"hostPort"`
		ContainerPort int    `json:"containerPort"`
		Protocol      string `json:"protocol"`
		HostIP        string `json:"hostIP,omitempty"`
	}
	maps := []mapping{}
	for _, m := range pod.Ports {
		if m.HostPort != 0 {
			maps = append(maps, mapping{m.HostPort, m.ContainerPort, m.Protocol, m.HostIP})
		}
	}
	namespace, name := pod.Split()
	return &libcni.RuntimeConf{
		ContainerID: pod.ID, NetNS: pod.NetNS, IfName: "eth0",
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", namespace}, {"K8S_POD_NAME", name},
			{"K8S_POD_INFRA_CONTAINER_ID", pod.ID},
		},
		CapabilityArgs: map[string]any{"portMappings": maps},
	}
}

// Add connects a pod and returns its addresses. After an error, what plugins did is undone.
func (p *Plugins) Add(ctx context.Context, pod network.Pod) (addrs []netip.Addr, err error) {
	rt := runtime(pod)
	if addrs, err = p.added(rt); err == nil && len(addrs) > 0 {
		return addrs, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("network of pod %s: CNI %s: %w", pod.Name, p.list.Name, err), p.Remove(context.WithoutCancel(ctx), pod))
		}
	}()
	lo := *rt
	lo.IfName, lo.CapabilityArgs = "lo", nil
	if _, err := p.cni.AddNetworkList(ctx, p.loopback, &lo); err != nil {
		return nil, err
	}
	if _, err := p.cni.AddNetworkList(ctx, p.list, rt); err != nil {
		return nil, err
	}
	if addrs, err = p.added(rt); err == nil && len(addrs) == 0 {
		err = errors.New("the plugins gave no address")
	}
	return addrs, err
}

// added returns the addresses of a pod that was added, none if it was not.
func (p *Plugins) added(rt *libcni.RuntimeConf) (addrs []netip.Addr, err error) {
	r, err := p.cni.GetNetworkListCachedResult(p.list, rt)
	if err != nil || r == nil {
		return nil, err
	}
	result, err := types.NewResultFromResult(r)
	if err != nil {
		return nil, err
	}
	for _, ip := range result.IPs {
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, nil
}

// Remove disconnects a pod. Its namespace may be gone already: NetNS is "" then, and
// plugins give back what they hold elsewhere.
func (p *Plugins) Remove(ctx context.Context, pod network.Pod) error {
	rt := runtime(pod)
	if _, err := os.Stat(rt.NetNS); err != nil {
		rt.NetNS = ""
	}
	lo := *rt
	lo.IfName, lo.CapabilityArgs = "lo", nil
	err := p.cni.DelNetworkList(ctx, p.list, rt)
	if rt.NetNS != "" {
		err = errors.Join(err, p.cni.DelNetworkList(ctx, p.loopback, &lo))
	}
	return err
}
