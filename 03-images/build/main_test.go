package build

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	namespaces "coracle/01-namespaces"
	"coracle/internal/base"
	"coracle/internal/sandbox"
)

// The base image's files are made outside the sandbox, where there is a compiler
// and a cache that can be written to.
func TestMain(m *testing.M) {
	namespaces.Reexec()
	if os.Getenv("CORACLE_SANDBOX") == "" && !strings.Contains(strings.Join(os.Args, " "), "-test.list") {
		if dir, err := base.Ensure(context.Background(), "../.."); err == nil {
			os.Setenv("CORACLE_BASE", dir)
		}
	}
	o := sandbox.Options{Dir: "03-images/build", Cgroup: true, Reexec: helper}
	remove := o.OnDisk()
	code := sandbox.Main(m, o)
	remove()
	os.Exit(code)
}

// helpers are what the test binary does when it is executed as "test:NAME ARG…".
var helpers = map[string]func(arg ...string) error{}

func helper() {
	name, ok := strings.CutPrefix(os.Args[0], "test:")
	if !ok {
		return
	}
	if err := helpers[name](os.Args[1:]...); err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		os.Exit(1)
	}
	os.Exit(0)
}
