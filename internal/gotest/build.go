package gotest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A BuildError is what the compiler printed.
type BuildError struct{ Output string }

func (e *BuildError) Error() string { return strings.TrimSpace(e.Output) }

// Build compiles the tests of the package in dir (slash path below root) into
// bin, over an overlay file ("" for none). extra are further flags of go test.
func Build(ctx context.Context, root, dir, overlay, bin string, extra ...string) error {
	args := append([]string{"test", "-c", "-o", bin}, extra...)
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+dir)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err == nil {
		if _, err := os.Stat(bin); err != nil {
			return fmt.Errorf("%s has no tests", dir)
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(out) == 0 {
		return fmt.Errorf("go test -c ./%s: %w", dir, err)
	}
	return &BuildError{string(out)}
}
