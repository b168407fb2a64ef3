package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// buildInit builds the guest's init into the cache; when nothing changed, go build only looks.
func buildInit(ctx context.Context, moduleRoot string) (content []byte, err error) {
	if moduleRoot == "" {
		if moduleRoot, err = findModule(); err != nil {
			return nil, err
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(cache, "vminit-"+runtime.GOARCH)
	return locked(out, func() error {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "-ldflags=-s -w", "./internal/vm/cmd/vminit")
		cmd.Dir = moduleRoot
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the init of the virtual machine: %w\n%s", err, text)
		}
		return nil
	})
}

// locked lets one process at a time build out, and reads it before it lets go: the go command may write in place, and
// half a binary must not be shipped.
func locked(out string, build func() error) ([]byte, error) {
	unlock, err := lock(out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := build(); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("cache of the virtual machine: %w", err)
	}
	return content, nil
}

// lock waits for a file's lock, which is a file beside it that stays: to remove it would let in those who wait.
func lock(out string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return nil, fmt.Errorf("cache of the virtual machine: %w", err)
	}
	f, err := os.OpenFile(out+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cache of the virtual machine: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// findModule looks upwards from the working directory for this module's go.mod.
func findModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module coracle\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside a checkout of coracle, from which the virtual machine's init is built; cd into one")
		}
	}
}
