package vm

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// object is the least ELF file that has a .modinfo section.
func object(t *testing.T, info string) []byte {
	t.Helper()
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	put := func(v any) { require.NoError(t, binary.Write(&b, binary.LittleEndian, v)) }
	end := uint64(64 + len(info) + len(names))
	put(elf.Header64{Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: end, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2})
	b.WriteString(info + names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(info))})
	put(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: 64 + uint64(len(info)), Size: uint64(len(names))})
	return b.Bytes()
}

func packed(t *testing.T, ext string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch ext {
	case ".xz":
		w, err := xz.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".zst":
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".gz":
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	default:
		return data
	}
	return b.Bytes()
}

// modules writes a tree: file name to .modinfo.
func modules(t *testing.T, builtin string, files map[string]string) *moduleTree {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte(builtin), 0o644))
	for name, info := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), packed(t, filepath.Ext(name), object(t, info)), 0o644))
	}
	tree, err := openModules(dir)
	require.NoError(t, err)
	return tree
}

func names(order []*module) (names []string) {
	for _, m := range order {
		names = append(names, m.name)
	}
	return names
}

func TestClosure_Order(t *testing.T) {
	tree := modules(t, "kernel/fs/ext4/ext4.ko\n", map[string]string{
		"nft-ct.ko.xz":       "depends=nf_tables,nf-conntrack\x00alias=nft-expr-ct\x00",
		"nf_tables.ko.zst":   "depends=libcrc32c\x00",
		"nf_conntrack.ko.gz": "depends=libcrc32c,ext4\x00",
		"libcrc32c.ko":       "softdep=pre: crc32c absent post: nft_ct\x00",
		"crc32c.ko":          "depends=\x00",
		"not_asked_for.ko":   "",
	})
	order, missing, err := tree.closure([]string{"nft_ct", "ext4", "warp", "nf-tables"})
	require.NoError(t, err)
	assert.Equal(t, []string{"crc32c", "libcrc32c", "nf_tables", "nf_conntrack", "nft_ct"}, names(order))
	assert.Equal(t, []string{"warp"}, missing)
	assert.Contains(t, string(index(order)), "nft_ct: nf_tables nf_conntrack | nft-expr-ct\n")
}

func TestClosure_Refused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"needs itself":             {"a.ko": "depends=b\x00", "b.ko": "depends=a\x00"},
		"c, which a needs, is not": {"a.ko": "depends=c\x00"},
	} {
		_, _, err := modules(t, "", files).closure([]string{"a"})
		assert.ErrorContains(t, err, name)
	}
	tree := modules(t, "", map[string]string{"a.ko": ""})
	require.NoError(t, os.WriteFile(tree.paths["a"], []byte("not ELF"), 0o644))
	_, _, err := tree.closure([]string{"a"})
	assert.ErrorContains(t, err, "a.ko")
}
