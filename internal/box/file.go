package box

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
