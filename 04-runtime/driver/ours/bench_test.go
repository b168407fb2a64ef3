package ours

import (
	"context"
	"testing"

	"coracle/04-runtime/driver"
	"coracle/internal/check"
)

// BenchmarkPod is a pod from nothing to running, its image being there; taking it down
// is not counted.
func BenchmarkPod(b *testing.B) {
	n := newNode(b)
	ctx := context.Background()
	for b.Loop() {
		s, err := n.RunSandbox(ctx, driver.SandboxConfig{UID: "uid", Name: "web", Namespace: "default", Hostname: "web", LogDir: n.dir, CgroupParent: "/kubepods/poduid"})
		check.NoError(b, "RunSandbox", err)
		id, err := n.Create(ctx, s.ID, driver.ContainerConfig{Name: "main", Image: imageName, Args: []string{forever}, LogPath: "0.log"})
		check.NoError(b, "Create", err)
		check.NoError(b, "Start", n.Start(ctx, id))
		b.StopTimer()
		check.NoError(b, "RemoveSandbox", n.RemoveSandbox(ctx, s.ID))
		b.StartTimer()
	}
}
