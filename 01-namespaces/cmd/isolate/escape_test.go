package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"coracle/internal/check"
)

// A descriptor of a folder that somebody left open leads nowhere (CVE-2024-21626).
func TestIsolate_NoWayOutByADescriptor(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	top, err := os.Open("/")
	check.NoError(t, "open /", err)
	defer top.Close()
	begin := func(args ...string) (string, int) {
		var errs strings.Builder
		cmd := command(append(flags, args...)...)
		cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = top, &errs, []*os.File{nil, nil, nil, top, top} // 6 and 7, beside what the handshake uses
		cmd.Run()
		return errs.String(), cmd.ProcessState.ExitCode()
	}
	for _, c := range []struct {
		args   []string
		status int
		has    string
	}{
		{[]string{"--dir", "/proc/self/fd/7", "--", "/bin/true"}, 125, "chdir to /proc/self/fd/7"},
		{[]string{"--dir", "/proc/self/fd/0", "--", "/bin/true"}, 125, "leads out of the root"},
		{[]string{"--", "/proc/self/fd/7/bin/true"}, 127, "/proc/self/fd/7"},
	} {
		errs, status := begin(c.args...)
		check.Equal(t, fmt.Sprintf("the status of isolate %v, with / open as 0 and 7 (it said %s)", c.args, strings.TrimSpace(errs)), c.status, status)
		check.ErrorHas(t, fmt.Sprintf("isolate %v", c.args), fmt.Errorf("%s", errs), []string{c.has})
	}
}
