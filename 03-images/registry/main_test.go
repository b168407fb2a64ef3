package registry

import (
	"os"
	"testing"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "03-images/registry"}))
}
