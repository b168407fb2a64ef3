package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A folder of the disk is TMPDIR, under the name that TMPDIR has anyhow: sockets
// have room for a hundred letters.
func TestOnDisk_CoversTMPDIR(t *testing.T) {
	Need(t)
	disk, tmp := t.TempDir(), t.TempDir()
	require.NoError(t, openFolder(filepath.Join(disk, inner)))
	t.Setenv(diskVar, disk)
	t.Setenv("TMPDIR", tmp)
	var o Options
	remove := o.OnDisk()
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(tmp, 0)) })
	require.NoError(t, os.WriteFile(filepath.Join(os.TempDir(), "file"), nil, 0o600))
	assert.Equal(t, tmp, os.TempDir())
	assert.FileExists(t, filepath.Join(disk, inner, "file"))
	fi, err := os.Stat(tmp)
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|os.ModeSticky|0o777, fi.Mode(), "every id of the tests writes there")
	assert.Empty(t, os.Getenv(diskVar), "what the tests execute would cover it again")
	remove()
	assert.FileExists(t, filepath.Join(tmp, "file"), "the outer process removes it")
}
