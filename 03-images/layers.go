package images

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// An unpacked layer, layers/HEX by its chain ID, or a snapshot, active/ID:
//
//	fs/      its files; deleted ones are character devices 0:0 (overlayfs.rst, "whiteouts")
//	parent   the chain ID of the layer below, or "none"
//	boot     the boot that wrote it
//	synced   there once all of it is on the disk
//	work/    of a snapshot: overlay's own
//
// A layer can be had again from its blob, so nobody waits for the disk when it is
// unpacked. After a power loss its name may be there and its files not; so a layer
// counts only in the boot that wrote it, or once Sync has said that it is safe.

func (s *Store) layer(chain digest.Digest) string { return s.Path("layers", chain.Encoded()) }

var bootID = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // proc_sys_kernel(5)
	return strings.TrimSpace(string(id))
})

func makeLayer(dir string, parent digest.Digest) error {
	if err := os.MkdirAll(filepath.Join(dir, "fs"), 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.Chmod(filepath.Join(dir, "fs"), 0o755), // whatever the umask is
		os.WriteFile(filepath.Join(dir, "parent"), []byte(cmp.Or(parent, none)), 0o644),
		os.WriteFile(filepath.Join(dir, "boot"), []byte(bootID()), 0o644))
}

const none = digest.Digest("none")

// readParent reads which layer is below. What a power loss tore is not found.
func readParent(dir string) (digest.Digest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "parent"))
	if err != nil {
		return "", notFound(filepath.Base(dir), err)
	}
	parent := digest.Digest(text)
	if parent == none {
		return "", nil
	}
	if checkDigest(parent) != nil {
		return "", fmt.Errorf("%s is torn, its parent is %q: %w", dir, cut(string(text)), ErrNotFound)
	}
	return parent, nil
}

// trusted says whether a layer's folder holds what was unpacked into it.
func trusted(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "synced")); err == nil {
		return true
	}
	boot, err := os.ReadFile(filepath.Join(dir, "boot"))
	return err == nil && len(boot) > 0 && string(boot) == bootID()
}

// Sync brings all layers to the disk with one syncfs(2), and says so beside each.
// It is called once after a pull or a build; a layer without it lasts until the
// machine ends.
func (s *Store) Sync() error {
	dirs, err := filepath.Glob(s.Path("layers", "*", "boot"))
	if err != nil {
		return err
	}
	var fresh []string
	for _, boot := range dirs {
		dir := filepath.Dir(boot)
		if _, err := os.Lstat(filepath.Join(dir, "synced")); err != nil && filepath.Ext(dir) == "" && trusted(dir) {
			fresh = append(fresh, dir)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync the layers: %w", err)
	}
	for _, dir := range fresh {
		if err := os.WriteFile(filepath.Join(dir, "synced"), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Lowers returns the folders of a layer and of all below it, the topmost first;
// none for "". Those below one that hides all of them (.wh..wh..opq in its root)
// are left out: overlay takes no notice of that mark on a layer's own folder.
func (s *Store) Lowers(chain digest.Digest) ([]string, error) {
	var lower []string
	for chain != "" {
		if len(lower) == MaxLayers {
			return nil, fmt.Errorf("layer %s: more than %d layers", chain, MaxLayers)
		}
		dir, err := s.LayerPath(chain)
		if err != nil {
			return nil, err
		}
		lower = append(lower, dir)
		if n, err := unix.Lgetxattr(dir, opaqueXattr, make([]byte, 1)); n == 1 && err == nil {
			break
		}
		if chain, err = readParent(filepath.Dir(dir)); err != nil {
			return nil, err
		}
	}
	return lower, nil
}

// removeTree removes a layer or a snapshot. Its name goes first: what is left
// after a crash is nothing that anybody would take for a whole one.
func removeTree(dir string) error {
	gone := dir
	if !strings.HasSuffix(dir, ".new") && !strings.HasSuffix(dir, ".gone") {
		gone += ".gone"
		if err := os.RemoveAll(gone); err != nil {
			return err
		}
		if err := os.Rename(dir, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(gone)
}
