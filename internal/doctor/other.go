//go:build !linux

package doctor

import (
	"context"
	"runtime"
)

func machine(context.Context, Options) []Check {
	return []Check{fail("kernel", "a Linux virtual machine, such as Lima or the devcontainer: see README.md", []int{1, 2},
		"%s: chapters 1 to 4 are about Linux", runtime.GOOS)}
}

func network(string) string { return "" }

// Probe is Linux's.
func Probe() error { return nil }
