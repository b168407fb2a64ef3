package base

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const override = "CORACLE_BASE"

// Current is the absolute path of the newest base root. The error for a missing
// one wraps fs.ErrNotExist and says how to make it.
func Current() (string, error) {
	if dir, ok, err := overridden(); ok {
		return dir, err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	hash, err := os.Readlink(filepath.Join(cache, "current"))
	root := filepath.Join(cache, hash, "rootfs")
	if err == nil {
		_, err = os.Stat(root)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no base root file system yet (%w): make one with `./lab run 1 isolate -- sh`, or name another with --root DIR", fs.ErrNotExist)
	}
	if err != nil {
		return "", fmt.Errorf("read the current base root: %w", err)
	}
	return root, nil
}

// overridden is the root that the environment names, if it does.
func overridden() (dir string, ok bool, err error) {
	if dir = os.Getenv(override); dir == "" {
		return "", false, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", true, fmt.Errorf("%s: %w", override, err)
	}
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s: not a directory", dir)
	}
	if err != nil {
		return "", true, fmt.Errorf("%s: %w", override, err)
	}
	return dir, true, nil
}

func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the base root file system (%w): set HOME, or %s to a root of your own", err, override)
	}
	return filepath.Join(cache, "coracle", "base"), nil
}
