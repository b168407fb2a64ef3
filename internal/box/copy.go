package box

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
