package base

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const building = ".new-" // prefix of a root that has not its name yet

// Ensure returns the absolute path of a base root built from the sources in
// moduleRoot, building it first if these sources have none: some seconds with a
// warm build cache. It makes that root the current one.
func Ensure(ctx context.Context, moduleRoot string) (string, error) {
	if dir, ok, err := overridden(); ok {
		return dir, err
	}
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("base root file system: its tools are for Linux, this is %s (see ./lab vm)", runtime.GOOS)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	hash, err := sourceHash(moduleRoot)
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, hash, "rootfs")
	// A root whose shell was removed from inside is made anew.
	if _, err := os.Stat(filepath.Join(root, "bin", "sh")); errors.Is(err, fs.ErrNotExist) {
		if err = removeTree(filepath.Join(cache, hash)); err == nil {
			err = build(ctx, moduleRoot, cache, hash)
		}
		if err != nil {
			return "", fmt.Errorf("make the base root file system in %s: %w", cache, err)
		}
	} else if err != nil {
		return "", fmt.Errorf("look for the base root file system: %w", err)
	}
	if err := point(cache, hash); err != nil {
		return "", err
	}
	return root, nil
}

// build makes cache/hash. A builder that comes second to the rename has made
// the same and drops its own.
func build(ctx context.Context, moduleRoot, cache, hash string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(cache, building)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	rootfs := filepath.Join(tmp, "rootfs")
	bin := filepath.Join(rootfs, "bin", "box")
	for _, dir := range []string{tmp, rootfs} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			return err
		}
	}
	// No -trimpath: it would compile the standard library a second time, beside
	// the objects that the workshop's other builds leave in the cache.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", bin, "./internal/box/cmd/box")
	cmd.Dir, cmd.Env = moduleRoot, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./internal/box/cmd/box: %w\n%s", err, out)
	}
	list, err := exec.CommandContext(ctx, bin, "--list").Output()
	if err != nil {
		return fmt.Errorf("list the applets: %w (is the cache directory mounted noexec?)", err)
	}
	if err := lay(rootfs, strings.Fields(string(list))); err != nil {
		return err
	}
	err = os.Rename(tmp, filepath.Join(cache, hash))
	if errors.Is(err, fs.ErrExist) { // also what ENOTEMPTY counts as
		return nil
	}
	return err
}

// point makes current lead to hash, replacing the link in one step.
func point(cache, hash string) error {
	current := filepath.Join(cache, "current")
	if was, err := os.Readlink(current); err == nil && was == hash {
		return nil
	}
	tmp, err := os.MkdirTemp(cache, building)
	if err != nil {
		return fmt.Errorf("link the current base root: %w", err)
	}
	defer os.RemoveAll(tmp)
	link := filepath.Join(tmp, "current")
	if err := errors.Join(os.Symlink(hash, link), os.Rename(link, current)); err != nil {
		return fmt.Errorf("link the current base root: %w", err)
	}
	return nil
}

// sourceHash covers everything that the root is made from.
func sourceHash(moduleRoot string) (string, error) {
	h := fnv.New128a() // tells versions apart; nothing is trusted for it, and small programs link no crypto
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, layout)
	err := filepath.WalkDir(filepath.Join(moduleRoot, "internal", "box"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		return add(h, moduleRoot, path)
	})
	for _, name := range []string{"go.mod", "go.sum"} {
		err = errors.Join(err, add(h, moduleRoot, filepath.Join(moduleRoot, name)))
	}
	if err != nil {
		return "", fmt.Errorf("hash the base tools' sources: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func add(h io.Writer, moduleRoot, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(moduleRoot, path)
	if err != nil {
		return err
	}
	fmt.Fprintln(h, rel, len(data))
	_, err = h.Write(data)
	return err
}

// Prune removes all roots but the current one, and what builders left that
// died more than an hour ago.
func Prune() error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	current, err := os.Readlink(filepath.Join(cache, "current"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prune base roots: %w", err)
	}
	entries, err := os.ReadDir(cache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		fi, ierr := e.Info()
		young := ierr == nil && strings.HasPrefix(e.Name(), building) && time.Since(fi.ModTime()) < time.Hour
		if e.IsDir() && e.Name() != current && !young {
			errs = append(errs, removeTree(filepath.Join(cache, e.Name())))
		}
	}
	return errors.Join(append(errs, err)...)
}

// removeTree is RemoveAll for a tree with directories that lack the write bit,
// /proc and /sys among them.
func removeTree(dir string) error {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
