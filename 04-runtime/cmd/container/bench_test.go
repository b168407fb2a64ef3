package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"coracle/internal/exercise"
	"coracle/internal/peer"
)

// BenchmarkRun measures `run` of a static /bin/true, from its start until the container
// is deleted, by this runtime, crun and runc: the same bundle, which is runc's own.
//
//	go test -overlay solutions/overlay.json -run '^$' -bench Run ./04-runtime/cmd/container
func BenchmarkRun(b *testing.B) {
	exercise.NeedAll(b)
	peer.HideUnified(b)
	root, bundle := peer.TrueRoot(b), b.TempDir()
	if err := peer.Bundle("runc", bundle, root); err != nil {
		b.Skip(err)
	}
	starts := map[string]func() *exec.Cmd{}
	for name, program := range map[string]string{"container": peer.Build(b, "coracle/04-runtime/cmd/container"), "runc": "runc", "crun": "crun"} {
		start := func() *exec.Cmd {
			return exec.Command(program, "--root", b.TempDir(), "run", "--bundle", bundle, fmt.Sprintf("coracle-bench-%d", os.Getpid()))
		}
		if out, err := start().CombinedOutput(); err != nil {
			b.Logf("without %s: %v: %s", name, err, bytes.TrimSpace(out))
			continue
		}
		starts[name] = start
	}
	peer.Race(b, "container", starts)
}
