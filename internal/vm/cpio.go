package vm

import (
	"fmt"
	"io"
	"io/fs"
)

// cpioWriter writes the "newc" archive that the kernel unpacks as its first root (linux/Documentation/driver-api/
// early-userspace/buffer-format.rst). Names are relative to /, and a parent must come before what is in it: the
// kernel creates no directories by itself and drops, without a word, what it cannot place.
type cpioWriter struct {
	w   io.Writer
	ino uint32
	off int64
}

// cpioEntry is one file; body has size bytes (a symlink's is its target).
type cpioEntry struct {
	name string
	mode fs.FileMode
	rdev [2]uint32 // major, minor of a device
	size int64
	body io.Reader
}

const cpioTrailer = "TRAILER!!!"

// unixMode translates to st_mode, which is what the archive holds.
func unixMode(m fs.FileMode) uint32 {
	u := uint32(m.Perm())
	for bit, v := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			u |= v
		}
	}
	switch {
	case m.IsDir():
		return u | 0o040000
	case m&fs.ModeSymlink != 0:
		return u | 0o120000
	case m&fs.ModeCharDevice != 0:
		return u | 0o020000
	}
	return u | 0o100000
}

func (c *cpioWriter) add(e cpioEntry) error {
	if e.size < 0 || e.size > 0xffffffff {
		return fmt.Errorf("initramfs: %s has %d bytes; the format ends at 4 GiB", e.name, e.size)
	}
	c.ino++
	links := 1
	if e.mode.IsDir() {
		links = 2
	}
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.ino, unixMode(e.mode), 0, 0, links, 0, e.size, 0, 0, e.rdev[0], e.rdev[1], len(e.name)+1, 0, e.name)
	if err := c.write(header); err != nil {
		return err
	}
	if err := c.pad(); err != nil || e.size == 0 {
		return err
	}
	n, err := io.CopyN(c.w, e.body, e.size)
	c.off += n
	if err != nil { // also a file that shrank while it was read
		return fmt.Errorf("initramfs: %s: %d of %d bytes: %w", e.name, n, e.size, err)
	}
	return c.pad()
}

// close ends the archive; the writer below stays open.
func (c *cpioWriter) close() error {
	return c.add(cpioEntry{name: cpioTrailer})
}

func (c *cpioWriter) write(s string) error {
	n, err := io.WriteString(c.w, s)
	c.off += int64(n)
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	return nil
}

func (c *cpioWriter) pad() error { return c.write("\x00\x00\x00"[:(4-c.off%4)%4]) }
