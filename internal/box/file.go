package box

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// targets pairs each source with its destination: the last operand itself, or
// a name inside it when it is a directory.
func (c *cmd) targets(f func(src, dst string) error) {
	last := c.args[len(c.args)-1]
	fi, err := os.Stat(last)
	dir := err == nil && fi.IsDir()
	if !dir && len(c.args) > 2 {
		c.die(1, "%s: not a directory", last)
	}
	for _, src := range c.args[:len(c.args)-1] {
		dst := last
		if dir {
			dst = filepath.Join(last, filepath.Base(src))
		}
		if err := f(src, dst); err != nil {
			c.warn(err)
		}
	}
}

func cp(c *cmd) {
	f := c.parse("r R a p d f", 2)
	deep := f.has("r", "R", "a")
	keep, links := f.has("p", "a"), f.has("d", "a", "r", "R")
	c.targets(func(src, dst string) error {
		stat := os.Stat
		if links {
			stat = os.Lstat
		}
		fi, err := stat(src)
		if err != nil {
			return err
		}
		if fi.IsDir() {
			if !deep {
				return fmt.Errorf("%s: is a directory (-r copies it)", src)
			}
			a, _ := filepath.Abs(src)
			if b, _ := filepath.Abs(dst); strings.HasPrefix(b+"/", a+"/") {
				return fmt.Errorf("%s: cannot be copied into itself, %s", src, dst)
			}
		}
		return copyAny(src, dst, fi, keep)
	})
}

// copyAny copies whatever fi says src is, directories with all below them.
func copyAny(src, dst string, fi os.FileInfo, keep bool) error {
	st := fi.Sys().(*syscall.Stat_t)
	if old, err := os.Stat(dst); err == nil && os.SameFile(old, fi) {
		return fmt.Errorf("%s and %s: are the same file", src, dst)
	}
	var err error
	switch fi.Mode().Type() {
	case os.ModeDir:
		if err = os.Mkdir(dst, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		entries, err := os.ReadDir(src)
		if err != nil {
			return err
		}
		for _, e := range entries {
			sub, err := e.Info()
			if err == nil {
				err = copyAny(filepath.Join(src, e.Name()), filepath.Join(dst, e.Name()), sub, keep)
			}
			if err != nil {
				return err
			}
		}
	case 0:
		err = copyFile(src, dst)
	case os.ModeSymlink:
		to, rerr := os.Readlink(src)
		if rerr != nil {
			return rerr
		}
		os.Remove(dst)
		if err = os.Symlink(to, dst); err == nil && keep {
			err = os.Lchown(dst, int(st.Uid), int(st.Gid))
		}
		return err
	default:
		err = on(dst, unix.Mknod(dst, st.Mode, int(st.Rdev)))
	}
	if err != nil {
		return err
	}
	if keep {
		if err := os.Lchown(dst, int(st.Uid), int(st.Gid)); err != nil && os.Geteuid() == 0 {
			return err
		}
	}
	mode := fi.Mode()
	if !keep { // as open(2) would: the umask applies and the set-id bits do not survive
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		mode &= os.ModePerm &^ os.FileMode(mask)
	}
	if err := os.Chmod(dst, mode); err != nil {
		return err
	}
	if keep {
		return os.Chtimes(dst, time.Unix(st.Atim.Unix()), fi.ModTime())
	}
	return nil
}

func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func mv(c *cmd) {
	c.parse("f", 2)
	c.targets(func(src, dst string) error {
		err := os.Rename(src, dst)
		if !errors.Is(err, unix.EXDEV) {
			return err
		}
		fi, err := os.Lstat(src)
		if err == nil {
			err = copyAny(src, dst, fi, true)
		}
		if err != nil {
			return err
		}
		return os.RemoveAll(src)
	})
}

func rm(c *cmd) {
	f := c.parse("r R f", 0)
	if len(c.args) == 0 && !f.has("f") {
		c.misuse()
	}
	for _, name := range c.args {
		fi, err := os.Lstat(name)
		switch base := filepath.Base(name); {
		case f.has("f") && errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
		case base == "/" || base == "." || base == "..":
			err = fmt.Errorf("%s: refused", name)
		case !fi.IsDir():
			err = os.Remove(name)
		case f.has("r", "R"):
			err = os.RemoveAll(name)
		default:
			err = fmt.Errorf("%s: is a directory (-r removes it)", name)
		}
		if err != nil {
			c.warn(err)
		}
	}
}

func mkdir(c *cmd) {
	f := c.parse("p m:", 1)
	for _, name := range c.args {
		make := os.Mkdir
		if f.has("p") {
			make = os.MkdirAll
		}
		err := make(name, 0o777)
		if m, ok := f["m"]; ok && err == nil {
			err = chmodOne(name, m)
		}
		if err != nil {
			c.warn(err)
		}
	}
}

func rmdir(c *cmd) {
	f := c.parse("p", 1)
	for _, name := range c.args {
		for {
			if err := unix.Rmdir(name); err != nil {
				c.warn(on(name, err))
				break
			}
			if name = filepath.Dir(name); !f.has("p") || name == "." || name == "/" {
				break
			}
		}
	}
}

func ln(c *cmd) {
	f := c.parse("s f n", 1)
	if len(c.args) == 1 {
		c.args = append(c.args, ".")
	}
	link := func(src, dst string) error {
		if f.has("f") {
			os.Remove(dst)
		}
		if f.has("s") {
			return os.Symlink(src, dst)
		}
		return os.Link(src, dst)
	}
	if f.has("n") && len(c.args) == 2 { // the name itself, even when it is a link to a directory
		c.check(link(c.args[0], c.args[1]))
		return
	}
	c.targets(link)
}

func touch(c *cmd) {
	f := c.parse("c a m d:", 1)
	now, omit := time.Now(), unix.Timespec{Nsec: unix.UTIME_OMIT}
	if d, ok := f["d"]; ok {
		var err error
		if sec, found := strings.CutPrefix(d, "@"); found {
			n, e := strconv.ParseInt(sec, 10, 64)
			now, err = time.Unix(n, 0), e
		} else {
			now, err = time.Parse(time.RFC3339, d)
		}
		if err != nil {
			c.die(2, "%s: not a time (such as 2026-01-31T12:00:00Z or @0)", d)
		}
	}
	ts, err := unix.TimeToTimespec(now)
	c.check(err)
	times := []unix.Timespec{ts, ts}
	if f.has("a") != f.has("m") {
		times[btoi(f.has("a"))] = omit
	}
	for _, name := range c.args {
		err := unix.UtimesNanoAt(unix.AT_FDCWD, name, times, 0)
		if errors.Is(err, unix.ENOENT) && !f.has("c") {
			var file *os.File
			if file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
				c.warn(err)
				continue
			}
			file.Close()
			err = unix.UtimesNanoAt(unix.AT_FDCWD, name, times, 0)
		}
		if err != nil && !(f.has("c") && errors.Is(err, unix.ENOENT)) {
			c.warn(on(name, err))
		}
	}
}
