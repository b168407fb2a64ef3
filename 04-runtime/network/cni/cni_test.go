package cni

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/04-runtime/network"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime"}))
}

// Stock are Debian's plugins, and the program that portmap writes its rules with.
var Stock = sandbox.Feature{
	Name: "CNI plugins", Fix: "apt-get install containernetworking-plugins iptables",
	Has: func() error {
		for _, bin := range []string{"bridge", "host-local", "portmap", "loopback"} {
			if _, err := find(bin); err != nil {
				return err
			}
		}
		return exec.Command("iptables", "-t", "nat", "-L", "-n").Run()
	},
}

func find(bin string) (string, error) {
	for _, dir := range BinDirs {
		if _, err := os.Stat(filepath.Join(dir, bin)); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s is in none of %v", bin, BinDirs)
}

const bridge = `{"cniVersion": "0.4.0", "name": "stock", "plugins": [
	{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
	 "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.90.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
	{"type": "portmap", "capabilities": {"portMappings": true}}]}`

func load0(t *testing.T, files map[string]string) (*Plugins, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		check.NoError(t, name, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return Load(t.Context(), dir, BinDirs, t.TempDir())
}

func pod(t *testing.T, name string, ports ...network.Port) network.Pod {
	t.Helper()
	p := network.Pod{ID: name + "-1", Name: "default/" + name, NetNS: filepath.Join(t.TempDir(), "net"), Ports: ports}
	check.NoError(t, "NewNetNS", network.NewNetNS(p.NetNS))
	t.Cleanup(func() { network.RemoveNetNS(p.NetNS) })
	return p
}

func TestPlugins_Stock(t *testing.T) {
	sandbox.Need(t, Stock)
	data := t.TempDir()
	plugins, err := load0(t, map[string]string{"10-stock.conflist": fmt.Sprintf(bridge, data), "20-other.conf": "{"})
	check.NoError(t, "Load", err)
	check.Equal(t, "Name", "stock", plugins.Name())
	t.Cleanup(func() { exec.Command("ip", "link", "del", "cni0").Run() })
	a := pod(t, "a", network.Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"})
	addrs, err := plugins.Add(t.Context(), a)
	check.NoError(t, "Add", err)
	check.Equal(t, "its addresses", "[10.90.0.2]", fmt.Sprint(addrs))
	addrs, err = plugins.Add(t.Context(), a)
	check.NoError(t, "Add again", err)
	check.Equal(t, "its addresses", "[10.90.0.2]", fmt.Sprint(addrs))

	var l net.Listener
	check.NoError(t, "listen in the pod", network.InNetNS(a.NetNS, func() (err error) {
		l, err = net.Listen("tcp", "10.90.0.2:80")
		return err
	}))
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "hello")
			c.Close()
		}
	}()
	for _, to := range []string{"10.90.0.2:80", "10.90.0.1:8080"} {
		c, err := network.DialIn(t.Context(), network.ThisNetNS, "tcp", netip.MustParseAddrPort(to))
		check.NoError(t, "dial "+to, err)
		c.SetDeadline(time.Now().Add(check.Deadline))
		said := make([]byte, 5)
		c.Read(said)
		c.Close()
		check.Equal(t, "from "+to, "hello", string(said))
	}
	stats, err := network.Stats(a.NetNS)
	check.NoError(t, "Stats", err)
	check.True(t, "Stats", stats["eth0"].RxBytes > 0, fmt.Sprint(stats), "bytes of eth0")

	b := pod(t, "b")
	addrs, err = plugins.Add(t.Context(), b)
	check.NoError(t, "Add of another", err)
	check.Equal(t, "its addresses", "[10.90.0.3]", fmt.Sprint(addrs))
	check.NoError(t, "Remove", plugins.Remove(t.Context(), a))
	check.NoError(t, "Remove again", plugins.Remove(t.Context(), a))
	check.NoError(t, "b's namespace is removed first", network.RemoveNetNS(b.NetNS))
	check.NoError(t, "Remove b", plugins.Remove(t.Context(), b))
	held, _ := filepath.Glob(data + "/stock/10.90.*")
	check.Equal(t, "addresses that are held after it", 0, len(held))
	rules, _ := exec.Command("iptables-save", "-t", "nat").Output()
	check.True(t, "rules of the port after it", !strings.Contains(string(rules), "10.90.0.2"), string(rules), "none")
	// The kernel ends a namespace, and with it the link, in its own time.
	check.Eventually(t, "links after it", "no veth", func() bool {
		links, err := exec.Command("ip", "-o", "link").Output()
		return err == nil && !strings.Contains(string(links), "veth")
	})
}

func TestPlugins_FailureIsUndone(t *testing.T) {
	sandbox.Need(t, Stock)
	data := t.TempDir()
	plugins, err := load0(t, map[string]string{"a.conflist": fmt.Sprintf(bridge, data)})
	check.NoError(t, "Load", err)
	t.Cleanup(func() { exec.Command("ip", "link", "del", "cni0").Run() })
	a := pod(t, "a", network.Port{HostPort: 8080, ContainerPort: 80, Protocol: "nonsense"})
	_, err = plugins.Add(t.Context(), a)
	check.ErrorHas(t, "Add with a port that the last plugin refuses", err, []string{"default/a", "stock", "nonsense"})
	held, _ := filepath.Glob(data + "/stock/10.90.*")
	check.Equal(t, "addresses that are held after it", 0, len(held))
}

func TestLoad_Errors(t *testing.T) {
	sandbox.Need(t, Stock)
	_, err := load0(t, nil)
	check.ErrorIs(t, "an empty folder", err, ErrNone)
	_, err = Load(t.Context(), "/nowhere", BinDirs, t.TempDir())
	check.ErrorIs(t, "no folder", err, ErrNone)
	for text, part := range map[string]string{
		"{":             "a.conflist",
		`{"name": "x"}`: "a.conflist",
		`{"cniVersion": "0.4.0", "name": "x", "plugins": [{"type": "no-such-plugin"}]}`: "no-such-plugin",
	} {
		_, err := load0(t, map[string]string{"a.conflist": text})
		check.ErrorHas(t, text, err, []string{part})
	}
	plugins, err := load0(t, map[string]string{"a.conf": `{"cniVersion": "0.4.0", "name": "one", "type": "loopback"}`})
	check.NoError(t, "a single plugin", err)
	check.Equal(t, "its name", "one", plugins.Name())
}
