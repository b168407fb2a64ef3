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
func buildInit(ctx context.Context, moduleRoot string) (string, error) {
	if moduleRoot == "" {
		var err error
		if moduleRoot, err = findModule(); err != nil {
			return "", err
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "vminit-"+runtime.GOARCH)
	return out, goBuild(ctx, moduleRoot, out, "build", "-o", out, "-ldflags=-s -w", "./internal/vm/cmd/vminit")
}

// goBuild runs the go command for a static Linux binary in out, one process at a time for each out: without the lock
// somebody could ship a binary that somebody else's linker has half written.
func goBuild(ctx context.Context, dir, out string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("cache of the virtual machine: %w", err)
	}
	lock, err := os.OpenFile(out+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("cache of the virtual machine: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if text, err := cmd.CombinedOutput(); err != nil {
		return &BuildError{Command: "go " + strings.Join(args, " "), Output: string(text), Err: err}
	}
	return nil
}

// BuildError is what the compiler had to say.
type BuildError struct {
	Command, Output string
	Err             error
}

func (e *BuildError) Error() string { return fmt.Sprintf("%s: %v\n%s", e.Command, e.Err, e.Output) }
func (e *BuildError) Unwrap() error { return e.Err }

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
