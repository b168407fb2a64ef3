package build

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// What is mounted is seen by one thread, which is never the main one, and is gone
// with it; what was opened there stays.
func TestWithMounts(t *testing.T) {
	sandbox.Need(t)
	over := t.TempDir()
	check.NoError(t, "write", os.WriteFile(over+"/covered", nil, 0o644))
	for range 50 {
		var open *os.Root
		err := withMounts(over, func(dir string) error {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it is on the main thread, whose mounts would last as long as the process")
			}
			if names := dirNames(t, dir); names != "[]" {
				t.Error("its folder is not empty:", names)
			}
			var err error
			open, err = mountIn(dir, "m", func(target string) error {
				if err := unix.Mount("tmpfs", target, "tmpfs", 0, ""); err != nil {
					return err
				}
				return os.WriteFile(target+"/f", []byte("x"), 0o644)
			})
			return err
		})
		check.NoError(t, "withMounts", err)
		text, err := open.ReadFile("f")
		check.NoError(t, "read what was opened there", err)
		check.Equal(t, "what was opened there", "x", string(text))
		check.NoError(t, "close", open.Close())
		check.Equal(t, "the folder to everybody else", "[covered]", dirNames(t, over))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(t, "read mountinfo", err)
	check.True(t, "mounts that are left", !strings.Contains(string(mounts), over), string(mounts), "none")
	check.ErrorIs(t, "withMounts on nothing", withMounts(over+"/none", func(string) error { return nil }), os.ErrNotExist)
}
