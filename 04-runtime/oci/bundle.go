package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// readBundle reads a bundle's config.json, and returns its text too.
func readBundle(bundle string) (*specs.Spec, []byte, error) {
	file := filepath.Join(bundle, "config.json")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: %w: a bundle is a folder with a config.json (coracle-runtime spec makes one)", file, fs.ErrNotExist)
	} else if err != nil {
		return nil, nil, err
	}
	c := new(config)
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return c.spec(), raw, nil
}

// rootless says whether this is root of the whole machine or of a part.
func rootless() bool {
	if os.Geteuid() != 0 {
		return true
	}
	b, err := os.ReadFile("/proc/self/uid_map")
	var inside, outside, size int64
	n, _ := fmt.Sscan(string(b), &inside, &outside, &size)
	return err == nil && (n != 3 || size != 1<<32-1)
}

// trusted refuses a folder that somebody else has made where ours was expected, as
// anybody can in /tmp.
func trusted(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if uid := os.Geteuid(); int(st.Uid) != uid && st.Uid != 0 {
		return fmt.Errorf("%s belongs to user %d: choose another folder with --root", dir, st.Uid)
	}
	return nil
}
