package vm

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// What a module needs stands in its own .modinfo section, so an unpacked package serves as well as an installed one,
// where depmod has written modules.dep.

// moduleTree finds the modules of one kernel.
type moduleTree struct {
	paths   map[string]string // name to file; names have underscores only, as /proc/modules shows them
	builtin map[string]bool
}

// module is one file to load: decompressed, with what must be loaded before it and the aliases it answers to.
type module struct {
	name    string
	data    []byte
	depends []string // these fail it when missing
	soft    []string // these do not
	aliases []string // patterns, as in "rtnl-link-veth"
}

func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{paths: map[string]string{}, builtin: map[string]bool{}}
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	for line := range strings.Lines(string(builtin)) {
		t.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".ko") && d.Type().IsRegular() {
			t.paths[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	return t, nil
}

// moduleName turns kernel/drivers/char/hw_random/virtio-rng.ko.xz into virtio_rng.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// closure returns the named modules and all they need, each after what it needs. A name that is built in is left out;
// one that this kernel has not is returned in missing, which is an error only where its feature is used.
func (t *moduleTree) closure(names []string) (order []*module, missing []string, err error) {
	state := map[string]int{} // 1 while below its own dependencies, 2 when done
	var visit func(name, by string, soft bool) error
	visit = func(name, by string, soft bool) error {
		name = moduleName(name)
		path, ok := t.paths[name]
		switch {
		case state[name] == 2 || t.builtin[name] && !ok:
			return nil
		case state[name] == 1:
			if soft { // the kernel's own tree has such circles; the order within does not matter then
				return nil
			}
			return fmt.Errorf("kernel module %s needs itself by way of %s", name, by)
		case !ok && soft:
			return nil
		case !ok && by == "":
			missing = append(missing, name)
			return nil
		case !ok:
			return fmt.Errorf("kernel module %s, which %s needs, is not in the tree; is another package missing?", name, by)
		}
		state[name] = 1
		m, err := readModule(name, path)
		if err != nil {
			return err
		}
		for _, d := range m.soft {
			if err := visit(d, name, true); err != nil {
				return err
			}
		}
		for _, d := range m.depends {
			if err := visit(d, name, false); err != nil {
				return err
			}
		}
		state[name] = 2
		order = append(order, m)
		return nil
	}
	for _, name := range names {
		if err := visit(name, "", false); err != nil {
			return nil, nil, err
		}
	}
	return order, missing, nil
}

// readModule reads a file and what its .modinfo says.
func readModule(name, path string) (*module, error) {
	data, err := readCompressed(path)
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	m := &module{name: name, data: data}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("kernel module %s has no .modinfo section", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	m.parseInfo(string(info))
	return m, nil
}

// parseInfo reads key=value strings that end in NUL.
func (m *module) parseInfo(info string) {
	for entry := range strings.SplitSeq(info, "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "depends":
			m.depends = append(m.depends, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "alias":
			m.aliases = append(m.aliases, value)
		case "softdep": // "pre: a b post: c"; post is loaded on demand when it is missed
			pre := false
			for _, word := range strings.Fields(value) {
				if strings.HasSuffix(word, ":") {
					pre = word == "pre:"
				} else if pre {
					m.soft = append(m.soft, word)
				}
			}
		}
	}
}

func readCompressed(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch filepath.Ext(path) {
	case ".ko":
		return raw, nil
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(raw))
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(raw)); err == nil {
			defer z.Close()
			r = z
		}
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	default:
		return nil, errors.New("neither .ko nor .ko.gz, .ko.xz, .ko.zst")
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// bootModules are needed before the guest can say a word; loadable are those of the chapters, found by the kernel
// itself when they are used (request_module calls our modprobe).
var (
	bootModules = []string{"virtio_pci", "virtio_console", "virtio_blk", "ext4"}
	loadable    = []string{
		"overlay", "fuse", "loop", "tun", "dummy", "veth", "vxlan", "bridge", "br_netfilter", "macvlan", "ipvlan",
		"virtio_net", "virtio_rng", "9pnet_virtio", "9p", "crc32c_generic", "inet_diag", "tcp_diag", "sch_fq_codel", "sch_htb",
		"nf_tables", "nf_conntrack", "nf_conntrack_netlink", "nf_nat", "nft_chain_nat", "nft_compat", "nft_ct",
		"nft_fib", "nft_fib_ipv4", "nft_fib_ipv6", "nft_fib_inet", "nft_hash", "nft_limit", "nft_log", "nft_masq", "nft_meta_bridge",
		"nft_nat", "nft_numgen", "nft_objref", "nft_quota", "nft_redir", "nft_reject", "nft_reject_inet", "nft_reject_ipv4",
		"nft_reject_ipv6", "nft_tproxy", "nft_socket", "nft_counter", "nf_log_syslog", "nfnetlink_log",
	}
)

// index is what the guest's modprobe reads, one module a line: its name, the modules to load before it, its aliases.
//
//	nft_ct: nf_defrag_ipv6 nf_conntrack nf_tables | nft-expr-ct nft-obj-3
func index(order []*module) []byte {
	var b bytes.Buffer
	have := map[string]bool{}
	for _, m := range order {
		have[m.name] = true
	}
	for _, m := range order {
		fmt.Fprintf(&b, "%s:", m.name)
		for _, d := range append(m.soft, m.depends...) {
			if d = moduleName(d); have[d] {
				b.WriteString(" " + d)
			}
		}
		b.WriteString(" |")
		for _, a := range m.aliases {
			b.WriteString(" " + strings.ReplaceAll(a, " ", "?"))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
