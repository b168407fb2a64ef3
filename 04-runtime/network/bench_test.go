package network

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"coracle/internal/sandbox"
)

// BenchmarkPod is a pod's network from nothing to ready, and its end apart from that:
// with and without a port of the node, by one goroutine and by four.
func BenchmarkPod(b *testing.B) {
	for _, c := range []struct {
		name  string
		ports []Port
	}{{"plain", nil}, {"port", []Port{{"", 0, 80, "tcp"}}}} {
		b.Run(c.name, func(b *testing.B) {
			sandbox.Need(b, NFT)
			n := openNode(b, Config{})
			dir := b.TempDir()
			i := 0
			for b.Loop() {
				p := Pod{ID: fmt.Sprint(i), Name: "x", NetNS: filepath.Join(dir, fmt.Sprint(i)), Ports: append([]Port{}, c.ports...)}
				for j := range p.Ports {
					p.Ports[j].HostPort = 10000 + i
				}
				i++
				if err := NewNetNS(p.NetNS); err != nil {
					b.Fatal(err)
				}
				if _, err := n.Add(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if i%50 == 0 { // as many as stay at once
					clean(b, n, dir)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
			clean(b, n, dir)
		})
	}
}

func clean(b *testing.B, n *Node, dir string) {
	for _, id := range n.Pods() {
		if err := n.Remove(context.Background(), id); err != nil {
			b.Fatal(err)
		}
		if err := RemoveNetNS(filepath.Join(dir, id)); err != nil && !os.IsNotExist(err) {
			b.Fatal(err)
		}
	}
}
