package namespaces

import (
	"os"
	"testing"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "01-namespaces", Reexec: reexecTest}))
}
