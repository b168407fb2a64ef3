package remote

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "03-images/remote"}))
}

// noLeaks fails the test if a goroutine outlives it.
func noLeaks(t testing.TB) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Error("goroutines outlive the call that began them:", err)
		}
	})
}
