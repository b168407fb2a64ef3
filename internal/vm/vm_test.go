//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"golang.org/x/sys/unix"

	"coracle/internal/vm"
	"coracle/internal/vm/wire"
)

func TestMain(m *testing.M) {
	if what, ok := os.LookupEnv("VM_GUEST"); ok {
		if do := guest[what]; do != nil {
			if err := do(); err != nil {
				fmt.Fprintln(os.Stderr, what+":", err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// needMachine skips where none can be had, with the command that helps.
func needMachine(t *testing.T) context.Context {
	t.Helper()
	for _, p := range vm.Doctor() {
		t.Skip(p)
	}
	if testing.Short() {
		t.Skip("boots a virtual machine; run without -short")
	}
	if !vm.HasKernel() {
		t.Skip("no kernel is here yet; ./lab vm test 2 downloads one (27 MB)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// inGuest is this test binary as a command of the machine.
func inGuest(user, what string) vm.Command {
	return vm.Command{Args: []string{filepath.Base(os.Args[0]), what}, Env: []string{"VM_GUEST=" + what}, User: user, Timeout: 20 * time.Second}
}

// self ships the test binary, and its libraries if somebody built it with cgo.
func self(t *testing.T) []string {
	path, err := os.Executable()
	require.NoError(t, err)
	return []string{path}
}

// What the chapters need of a kernel is there, on either kind of root.
func TestRun_Kernel(t *testing.T) {
	for _, disk := range []int{0, 256} {
		t.Run(fmt.Sprintf("disk %d MB", disk), func(t *testing.T) {
			ctx := needMachine(t)
			commands := []vm.Command{
				inGuest("", "controllers"), inGuest("", "pivot"), inGuest("", "nftables"), inGuest("", "links"), inGuest("", "orphan"),
				inGuest("learner", "delegated"), inGuest("learner", "orphan"),
			}
			if disk > 0 {
				commands = append(commands, inGuest("learner", "overlay"))
			}
			var out, errs bytes.Buffer
			boot := vm.Boot{}
			results, err := vm.Run(ctx, vm.Config{DiskMB: disk, Programs: self(t), OnReady: func(b vm.Boot) { boot = b }}, nil, commands, &out, &errs)
			require.NoError(t, err)
			t.Logf("%s: %v after the start of QEMU, %v of its own time", boot.Kernel, boot.Host, boot.Guest)
			require.Len(t, results, len(commands))
			for i, r := range results {
				assert.Zero(t, r.Code, "%s as %q: %s", commands[i].Args[1], commands[i].User, errs.String())
			}
			for _, controller := range []string{"memory", "cpu", "pids"} {
				assert.Contains(t, strings.Fields(out.String()), controller)
			}
		})
	}
}

// Input, terminals, exit codes and time limits.
func TestRun_Commands(t *testing.T) {
	ctx := needMachine(t)
	echo := inGuest("learner", "echo")
	var echoed, typed bytes.Buffer
	echo.Stdin, echo.Stdout = strings.NewReader(strings.Repeat("0123456789abcdef", 1<<14)), &echoed
	terminal := inGuest("learner", "terminal")
	terminal.TTY, terminal.Stdin, terminal.Size, terminal.Stdout = true, strings.NewReader("hello\n"), wire.Size{Rows: 33, Cols: 99}, &typed
	hang := inGuest("", "hang")
	hang.Timeout = 300 * time.Millisecond
	results, err := vm.Run(ctx, vm.Config{Programs: self(t)}, nil, []vm.Command{echo, terminal, hang,
		{Args: []string{"/nothing"}}, {Args: []string{"/etc/passwd"}}, {Args: []string{"nowhere"}, User: "learner"}}, nil, nil)
	require.NoError(t, err)
	var codes []int
	for _, r := range results {
		codes = append(codes, r.Code)
	}
	assert.Equal(t, []int{0, 0, 124, 127, 126, 127}, codes, "%+v", results)
	assert.Equal(t, 1<<18, echoed.Len())
	assert.Contains(t, typed.String(), "33x99 hello")
}

func TestRun_MachineCrashes(t *testing.T) {
	ctx := needMachine(t)
	_, err := vm.Run(ctx, vm.Config{Programs: self(t)}, nil, []vm.Command{inGuest("", "crash")}, nil, nil)
	require.ErrorContains(t, err, "ended before its work was done; its console ended with:\n")
	assert.ErrorContains(t, err, "Kernel panic")
}

func TestRun_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(needMachine(t))
	_, err := vm.Run(ctx, vm.Config{Programs: self(t), OnReady: func(vm.Boot) { cancel() }}, nil, []vm.Command{inGuest("", "hang")}, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRun_DoesNotBoot(t *testing.T) {
	ctx := needMachine(t)
	_, err := vm.Run(ctx, vm.Config{Programs: self(t), BootTimeout: 500 * time.Millisecond}, nil, []vm.Command{inGuest("", "hang")}, nil, nil)
	require.ErrorContains(t, err, "did not boot in time")
}

// QEMU does not outlive a caller that is killed, and the caller's temporary directory is empty.
func TestRun_CallerKilled(t *testing.T) {
	needMachine(t)
	temp := t.TempDir()
	caller := exec.Command("/proc/self/exe")
	caller.Env = append(os.Environ(), "VM_GUEST=caller", "TMPDIR="+temp)
	out, err := caller.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, caller.Start())
	_, err = out.Read(make([]byte, 1)) // it is ready
	require.NoError(t, err)
	// Forked by one of the threads.
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", caller.Process.Pid))
	require.NoError(t, err)
	var qemu int
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil && len(text) > 0 {
			fmt.Sscan(string(text), &qemu)
		}
	}
	require.NotZero(t, qemu, "the caller has a child")
	end, err := unix.PidfdOpen(qemu, 0)
	require.NoError(t, err)
	defer unix.Close(end)
	require.NoError(t, caller.Process.Kill())
	caller.Wait()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}, 5000)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "QEMU (process %d) ended within 5 s", qemu)
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestRun_BadInput(t *testing.T) {
	one := []vm.Command{{Args: []string{"/x"}}}
	for want, run := range map[string]func(t *testing.T) error{
		"does not boot":        func(t *testing.T) error { return try(t, vm.Config{MemoryMB: 16}, nil, one) },
		"cannot be emulated":   func(t *testing.T) error { return try(t, vm.Config{CPUs: -1}, nil, one) },
		"too small for a root": func(t *testing.T) error { return try(t, vm.Config{DiskMB: 1}, nil, one) },
		"0 commands":           func(t *testing.T) error { return try(t, vm.Config{}, nil, nil) },
		"has no program":       func(t *testing.T) error { return try(t, vm.Config{}, nil, []vm.Command{{}}) },
		`no user "bob"`: func(t *testing.T) error {
			return try(t, vm.Config{}, nil, []vm.Command{{Args: []string{"/x"}, User: "bob"}})
		},
		`no acceleration "warp"`: func(t *testing.T) error { needMachine(t); return try(t, vm.Config{Accel: "warp"}, nil, one) },
		"no module warp": func(t *testing.T) error {
			needMachine(t)
			return try(t, vm.Config{Modules: []string{"warp"}}, nil, one)
		},
		"must begin with /": func(t *testing.T) error { needMachine(t); return try(t, vm.Config{}, []vm.File{{Guest: "x"}}, one) },
		"put it elsewhere": func(t *testing.T) error {
			needMachine(t)
			return try(t, vm.Config{}, []vm.File{{Guest: "/run/x"}}, one)
		},
		"stat /nowhere: no such file": func(t *testing.T) error { needMachine(t); return try(t, vm.Config{Root: "/nowhere"}, nil, one) },
		"is neither a file nor a directory": func(t *testing.T) error {
			needMachine(t)
			return try(t, vm.Config{}, []vm.File{{Host: "/dev/null", Guest: "/x"}}, one)
		},
		"open /nowhere: no such file": func(t *testing.T) error { needMachine(t); return try(t, vm.Config{Kernel: "/nowhere"}, nil, one) },
		"no modules.builtin":          func(t *testing.T) error { needMachine(t); return try(t, vm.Config{Kernel: os.Args[0]}, nil, one) },
	} {
		t.Run(want, func(t *testing.T) {
			err := run(t)
			require.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func try(t *testing.T, cfg vm.Config, files []vm.File, commands []vm.Command) error {
	_, err := vm.Run(t.Context(), cfg, files, commands, nil, nil)
	return err
}
