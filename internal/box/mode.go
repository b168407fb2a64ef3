package box

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// newMode applies an octal or symbolic mode, as chmod(1p) words it, to old.
func newMode(s string, old uint32) (uint32, error) {
	if n, err := strconv.ParseUint(s, 8, 32); err == nil && n <= 0o7777 {
		return uint32(n), nil
	}
	mode := old & 0o7777
	for _, clause := range strings.Split(s, ",") {
		rest := strings.TrimLeft(clause, "ugoa")
		who, mask := clause[:len(clause)-len(rest)], uint32(0)
		for _, w := range who {
			mask |= map[rune]uint32{'u': 0o4700, 'g': 0o2070, 'o': 0o1007, 'a': 0o7777}[w]
		}
		if who == "" {
			um := unix.Umask(0)
			unix.Umask(um)
			mask = 0o7777 &^ uint32(um)
		}
		if rest == "" || strings.IndexByte("+-=", rest[0]) < 0 {
			return 0, fmt.Errorf("%s: not a mode (such as 755 or u+x,go-w)", s)
		}
		var bits uint32
		for _, p := range rest[1:] {
			b, ok := map[rune]uint32{'r': 0o444, 'w': 0o222, 'x': 0o111, 's': 0o6000, 't': 0o1000, 'X': 0}[p]
			if !ok {
				return 0, fmt.Errorf("%s: not a mode (such as 755 or u+x,go-w)", s)
			}
			if p == 'X' && (mode&0o111 != 0 || old&unix.S_IFMT == unix.S_IFDIR) {
				b = 0o111
			}
			bits |= b
		}
		if strings.ContainsRune(rest, 't') {
			mask |= 0o1000
		}
		switch bits &= mask; rest[0] {
		case '+':
			mode |= bits
		case '-':
			mode &^= bits
		case '=':
			mode = mode&^(mask&^0o7000) | bits
		}
	}
	return mode, nil
}

func chmodOne(name, mode string) error {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return on(name, err)
	}
	m, err := newMode(mode, st.Mode)
	if err != nil {
		return err
	}
	return on(name, unix.Chmod(name, m))
}

// tree calls f for every operand, with all below it when deep.
func (c *cmd) tree(names []string, deep bool, f func(name string, link bool) error) {
	for _, name := range names {
		err := filepath.WalkDir(name, func(path string, d os.DirEntry, err error) error {
			if err == nil {
				err = f(path, d.Type() == os.ModeSymlink && path != name)
			}
			if err != nil {
				c.warn(err)
			}
			if !deep {
				return filepath.SkipAll
			}
			return nil
		})
		if err != nil {
			c.warn(err)
		}
	}
}

func chmod(c *cmd) {
	for i, a := range c.args { // "-w" is a mode, not an option
		if len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "rwxXst") == "" {
			c.args[i] = "a" + a
		}
	}
	f := c.parse("R", 2)
	mode := c.args[0]
	_, err := newMode(mode, 0)
	c.check(err)
	c.tree(c.args[1:], f.has("R"), func(name string, link bool) error {
		if link {
			return nil
		}
		return chmodOne(name, mode)
	})
}

func chown(c *cmd) {
	f := c.parse("R h", 2)
	owner, group, _ := strings.Cut(c.args[0], ":")
	uid, gid := -1, -1
	if u, err := user.Lookup(owner); err == nil {
		owner = u.Uid
	}
	if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	for _, x := range []struct {
		s  string
		id *int
	}{{owner, &uid}, {group, &gid}} {
		if n, err := strconv.ParseUint(x.s, 10, 31); err == nil {
			*x.id = int(n)
		} else if x.s != "" {
			c.die(1, "%s: no such user or group", x.s)
		}
	}
	c.tree(c.args[1:], f.has("R"), func(name string, link bool) error {
		if link || f.has("h") {
			return os.Lchown(name, uid, gid)
		}
		return os.Chown(name, uid, gid)
	})
}

func mkfifo(c *cmd) {
	f := c.parse("m:", 1)
	for _, name := range c.args {
		c.makeNode(name, unix.S_IFIFO, 0, f)
	}
}

func mknod(c *cmd) {
	f := c.parse("m:", 2)
	kind := map[string]uint32{"b": unix.S_IFBLK, "c": unix.S_IFCHR, "u": unix.S_IFCHR, "p": unix.S_IFIFO}[c.args[1]]
	dev := 0
	if kind == 0 || (kind != unix.S_IFIFO) != (len(c.args) == 4) {
		c.misuse()
	}
	if kind != unix.S_IFIFO {
		major, e1 := strconv.ParseUint(c.args[2], 0, 32)
		minor, e2 := strconv.ParseUint(c.args[3], 0, 32)
		if e1 != nil || e2 != nil {
			c.misuse()
		}
		dev = int(unix.Mkdev(uint32(major), uint32(minor)))
	}
	c.makeNode(c.args[0], kind, dev, f)
}

func (c *cmd) makeNode(name string, kind uint32, dev int, f flags) {
	err := on(name, unix.Mknod(name, kind|0o666, dev))
	if m, ok := f["m"]; ok && err == nil {
		err = chmodOne(name, m)
	}
	if err != nil {
		c.warn(err)
	}
}
