package oci

import (
	"os"
	"testing"

	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name: what is tested is what was
// built, over whatever overlay.
func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime/oci", Cgroup: true, Reexec: func() {
		Init()
		atBarrier()
		if os.Args[0] == "container" {
			os.Exit(Main(os.Args))
		}
	}}))
}
