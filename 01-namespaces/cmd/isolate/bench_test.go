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

// BenchmarkIsolate measures `isolate -- /bin/true` from its start until it is
// reaped, and runc and crun with the same root and an empty network namespace.
//
//	go test -overlay solutions/overlay.json -run '^$' -bench Isolate ./01-namespaces/cmd/isolate
func BenchmarkIsolate(b *testing.B) {
	exercise.NeedAll(b)
	peer.HideUnified(b)
	root := peer.TrueRoot(b)
	program := peer.Build(b, "coracle/01-namespaces/cmd/isolate")
	starts := map[string]func() *exec.Cmd{"isolate": func() *exec.Cmd { return exec.Command(program, "--root", root, "--", "/bin/true") }}
	for _, name := range []string{"runc", "crun"} {
		bundle := b.TempDir()
		if err := peer.Bundle(name, bundle, root); err != nil {
			b.Logf("without %s: %v", name, err)
			continue
		}
		start := func() *exec.Cmd {
			return exec.Command(name, "run", "--bundle", bundle, fmt.Sprintf("coracle-bench-%d", os.Getpid()))
		}
		if out, err := start().CombinedOutput(); err != nil {
			b.Logf("without %s: %v: %s", name, err, bytes.TrimSpace(out))
			continue
		}
		starts[name] = start
	}
	peer.Race(b, "isolate", starts)
}
