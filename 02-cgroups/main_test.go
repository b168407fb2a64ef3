package cgroups

import (
	"os"
	"testing"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "02-cgroups", Cgroup: true, Reexec: helper}))
}
