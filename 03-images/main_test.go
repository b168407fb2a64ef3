package images

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	flag.Set("rapid.nofailfile", "true") // the tests' view of this folder is read-only
	o := sandbox.Options{Dir: "03-images", Reexec: helper}
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
