package remote

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	o := sandbox.Options{Dir: "03-images/remote", Reexec: helper}
	remove := o.OnDisk()
	code := sandbox.Main(m, o)
	remove()
	os.Exit(code)
}

// helper ends the process if it is the one that is killed (crash_test.go).
func helper() {
	if os.Args[0] != "test:pull" {
		return
	}
	if err := pullForEver(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pull:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// noLeaks fails the test if a goroutine outlives it.
func noLeaks(t testing.TB) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() { // there is a reason already
			return
		}
		if err := goleak.Find(before); err != nil {
			t.Error("goroutines outlive the call that began them:", err)
		}
	})
}
