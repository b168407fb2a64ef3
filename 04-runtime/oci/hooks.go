package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Hooks run one after another, in the order in which they are listed. Where and when
// (runtime-spec, config.md, "POSIX-platform Hooks"; the failing of each, runtime.md,
// "Lifecycle"):
//
//	kind             namespaces  when                                         a failure
//	prestart         runtime's   namespaces and mounts made, before pivot     ends create
//	createRuntime    runtime's   likewise, after prestart                     ends create
//	createContainer  container's likewise, after createRuntime                ends create
//	startContainer   container's in start, before the program                 ends start and the container
//	poststart        runtime's   the program runs                             is a warning
//	poststop         runtime's   the container is gone                        is a warning

// runHooks runs them with the state on stdin and stops at the first that fails. The
// error says which, why and what it wrote to stderr.
func runHooks(kind string, hooks []specs.Hook, state specs.State) error {
	if len(hooks) == 0 {
		return nil
	}
	stdin, err := json.Marshal(state)
	if err != nil {
		return err
	}
	for i, h := range hooks {
		if err := runHook(h, stdin); err != nil {
			return fmt.Errorf("%s hook %d, %s: %w", kind, i, h.Path, err)
		}
	}
	return nil
}

func runHook(h specs.Hook, stdin []byte) error {
	ctx := context.Background()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	cmd.Env = append([]string{}, h.Env...) // of the runtime's own environment nothing
	cmd.Stdin = bytes.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // for one that left a process behind which holds its output
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("not done within its timeout of %ds", *h.Timeout)
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// warnHooks runs all of them: what comes after the fact cannot undo it, but the
// next one must run all the same.
func (r *Runtime) warnHooks(kind string, hooks []specs.Hook, state specs.State) {
	for i := range hooks {
		if err := runHooks(kind, hooks[i:i+1], state); err != nil {
			r.warn(err.Error())
		}
	}
}
