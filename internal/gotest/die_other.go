//go:build !linux

package gotest

import "os/exec"

func dieWithUs(*exec.Cmd) (undo func()) { return func() {} }
