package namespaces

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// inChild holds what a test runs in a re-executed copy of the test binary,
// because it changes the process itself: by name, added from the tests' own
// files (inChild["unshare"] = … in an init). The name follows "test:" in
// os.Args[0]; the function's error goes to stderr and makes the status 1.
var inChild = map[string]func() error{}

// reexecTest is what sandbox.Main calls first: it returns only in the test binary
// proper.
func reexecTest() {
	Reexec()
	name, ok := strings.CutPrefix(os.Args[0], "test:")
	if !ok {
		return
	}
	runtime.LockOSThread()
	f, ok := inChild[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no inChild[%q]\n", name)
		os.Exit(2)
	}
	if err := f(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
