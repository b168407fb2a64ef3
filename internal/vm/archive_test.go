package vm

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// readCPIO is the format read as its description has it, so that writer and reader share no code.
func readCPIO(data []byte) (files map[string]string, err error) {
	files = map[string]string{}
	at := 0
	take := func(n int) string {
		if n < 0 || at+n > len(data) {
			err = fmt.Errorf("archive ends at %d, want %d more", at, n)
			return strings.Repeat("0", max(n, 0))
		}
		at += n
		return string(data[at-n : at])
	}
	for err == nil {
		if magic := take(6); magic != "070701" {
			return nil, fmt.Errorf("magic %q at %d", magic, at-6)
		}
		var field [13]int64
		for i := range field {
			if field[i], err = strconv.ParseInt(take(8), 16, 64); err != nil {
				return nil, err
			}
		}
		name := strings.TrimSuffix(take(int(field[11])), "\x00")
		take((4 - at%4) % 4)
		body := take(int(field[6]))
		take((4 - at%4) % 4)
		if name == "TRAILER!!!" {
			if at != len(data) {
				return nil, fmt.Errorf("%d bytes after the trailer", len(data)-at)
			}
			return files, err
		}
		files[name] = fmt.Sprintf("%o %s", field[1], body)
	}
	return nil, err
}

func TestCPIO_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{}
		tr := tree{}
		for name, body := range rapid.MapOf(rapid.StringMatching(`[a-z]{1,9}`), rapid.String()).Draw(t, "files") {
			tr.put("/"+name, leaf{mode: 0o751, data: []byte(body)})
			want[name] = "100751 " + body
		}
		var buf bytes.Buffer
		require.NoError(t, tr.write(&buf))
		got, err := readCPIO(buf.Bytes())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestTree_Directory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "usr/bin/x"), []byte("X"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(dir, "usr/bin/x"), 0o755|fs.ModeSetuid))
	require.NoError(t, os.Symlink("usr/bin", filepath.Join(dir, "bin")))
	tr := tree{}
	require.NoError(t, tr.addFile(File{Host: dir, Guest: "/"}))
	require.NoError(t, tr.addFile(File{Data: []byte("Y"), Guest: "/bin/y", Mode: 0o700})) // through the link
	require.NoError(t, tr.addFile(File{Data: []byte("Z"), Guest: "/a/b/c"}))              // directories come along
	var buf bytes.Buffer
	require.NoError(t, tr.write(&buf))
	got, err := readCPIO(buf.Bytes())
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"usr": "40755 ", "usr/bin": "40755 ", "usr/bin/x": "104755 X", "bin": "120777 usr/bin",
		"usr/bin/y": "100700 Y", "a": "40755 ", "a/b": "40755 ", "a/b/c": "100644 Z"}, got)
}

// A parent must come before its children, or the kernel drops them.
func TestCPIO_StrangerReadsIt(t *testing.T) {
	bsdtar, err := exec.LookPath("bsdtar")
	args := []string{"-tf", "-"}
	if err != nil {
		if bsdtar, err = exec.LookPath("cpio"); err != nil {
			t.Skip("another program to read the archive with: sudo apt-get install cpio")
		}
		args = []string{"-t", "--quiet"}
	}
	tr := tree{}
	tr.put("/z/y/x", leaf{data: []byte("12345")})
	tr.put("/z-", leaf{})
	var buf bytes.Buffer
	require.NoError(t, tr.write(&buf))
	cmd := exec.Command(bsdtar, args...)
	cmd.Stdin = &buf
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "z\nz-\nz/y\nz/y/x\n", string(out))
}

func TestCPIO_FileShrinks(t *testing.T) {
	c := cpioWriter{w: &bytes.Buffer{}}
	err := c.add(cpioEntry{name: "f", size: 4, body: strings.NewReader("abc")})
	require.ErrorContains(t, err, "f: 3 of 4 bytes")
}
