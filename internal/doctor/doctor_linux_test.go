package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The test binary is its own probe, and a helper that wants namespaces.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "probe" {
		if Probe() != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func options(t *testing.T) Options {
	dir := t.TempDir()
	return Options{Root: filepath.Join(dir, "root"), Cache: filepath.Join(dir, "cache"), Probe: []string{"/proc/self/exe", "probe"}}
}

func TestRun_EveryRefusalHasItsFix(t *testing.T) {
	checks := Run(t.Context(), options(t))
	names := map[string]Check{}
	for _, c := range checks {
		names[c.Name] = c
		assert.NotEmpty(t, c.Says, c.Name)
		assert.Equal(t, c.Level == OK, c.Fix == "", "%s: %s %s", c.Name, c.Level, c.Fix)
		assert.Equal(t, c.Level == Fail, len(c.Stops) > 0, c.Name)
	}
	for _, want := range []string{"kernel", "user namespaces", "cgroups", "checkout", "cache", "temporary files", "git", "ports"} {
		assert.Contains(t, names, want)
	}
	assert.Equal(t, OK, names["checkout"].Level)
}

func TestFolder_ThatCannotBeUsed(t *testing.T) {
	c := folder("cache", "/proc/nowhere", "export XDG_CACHE_HOME=…")
	assert.Equal(t, Fail, c.Level)
	assert.True(t, c.Even, "the virtual machine does not help")
	assert.Equal(t, []int{1, 2}, Impossible([]Check{c}, true))
}

// TestFolder_Noexec runs itself where it may mount a file system noexec.
func TestFolder_Noexec(t *testing.T) {
	const inside = "DOCTOR_TEST_DIR"
	if dir := os.Getenv(inside); dir != "" {
		require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOEXEC, ""))
		c := folder("temporary files", dir, "export TMPDIR=…")
		assert.Equal(t, Fail, c.Level)
		assert.Contains(t, c.Says, "noexec")
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestFolder_Noexec$")
	cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespace to mount in: %v; ./lab doctor says how to allow it", err)
	}
	assert.NoError(t, cmd.Wait())
}

func TestMounts_WhatFailedStopsChapters(t *testing.T) {
	for _, c := range mounts(nil) {
		assert.Equal(t, OK, c.Level)
	}
	checks := mounts(map[string]string{"proc": "mount proc: operation not permitted", "overlay": "no such device"})
	var levels []Level
	for _, c := range checks {
		levels = append(levels, c.Level)
	}
	assert.Equal(t, []Level{OK, Fail, OK, Warn}, levels)
	assert.Equal(t, []int{1, 2}, Impossible(checks, false))
	assert.Empty(t, Impossible(checks, true), "the virtual machine stands in")
}

func TestTry_AProbeThatDies(t *testing.T) {
	_, err := try(t.Context(), []string{"/bin/sh", "-c", "echo odd; exit 3"}, 0, nil)
	if err == nil {
		t.Fatal("no error")
	}
	if os.Geteuid() == 0 {
		assert.Contains(t, err.Error(), "exit status 3 odd")
	}
}
