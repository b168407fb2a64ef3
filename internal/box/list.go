package box

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// names caches the lookups of /etc/passwd and /etc/group.
type names map[string]string

func (n names) user(id uint32) string {
	return n.get("u", id, func(s string) (string, error) {
		u, err := user.LookupId(s)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (n names) group(id uint32) string {
	return n.get("g", id, func(s string) (string, error) {
		g, err := user.LookupGroupId(s)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func (n names) get(kind string, id uint32, look func(string) (string, error)) string {
	s := strconv.FormatUint(uint64(id), 10)
	if v, ok := n[kind+s]; ok {
		return v
	}
	v, err := look(s)
	if err != nil {
		v = s
	}
	n[kind+s] = v
	return v
}

// modeString is the first column of ls -l (ls(1p), STDOUT).
func modeString(m uint32) string {
	b := []byte("?rwxrwxrwx")
	b[0] = map[uint32]byte{unix.S_IFREG: '-', unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFCHR: 'c',
		unix.S_IFBLK: 'b', unix.S_IFIFO: 'p', unix.S_IFSOCK: 's'}[m&unix.S_IFMT]
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[i+1] = '-'
		}
	}
	for i, bit := range []uint32{unix.S_ISUID, unix.S_ISGID, unix.S_ISVTX} {
		if at := 3 * (i + 1); m&bit != 0 {
			c := "sst"[i]
			if b[at] == '-' {
				c -= 'a' - 'A'
			}
			b[at] = c
		}
	}
	return string(b)
}

type entry struct {
	name, path string
	fi         fs.FileInfo
	st         *syscall.Stat_t
}

func ls(c *cmd) {
	f := c.parse("a A l h d R i n t S r F 1", 0)
	ids := names{}
	if len(c.args) == 0 {
		c.args = []string{"."}
	}
	var files []entry
	var dirs []string
	for _, name := range c.args {
		stat := os.Stat
		if f.has("l", "d") {
			stat = os.Lstat
		}
		fi, err := stat(name)
		if err != nil {
			if fi, err = os.Lstat(name); err != nil { // a dangling link is listed as itself
				c.warn(err)
				continue
			}
		}
		if fi.IsDir() && !f.has("d") {
			dirs = append(dirs, name)
		} else {
			files = append(files, entry{name, name, fi, fi.Sys().(*syscall.Stat_t)})
		}
	}
	c.listEntries(files, f, ids)
	for i := 0; i < len(dirs); i++ {
		dir := dirs[i]
		if len(c.args) > 1 || f.has("R") {
			if i > 0 || len(files) > 0 {
				fmt.Fprintln(c.out)
			}
			fmt.Fprintln(c.out, dir+":")
		}
		list, err := os.ReadDir(dir)
		if err != nil {
			c.warn(err)
		}
		var es []entry
		add := func(name string, fi fs.FileInfo, err error) {
			if err == nil {
				es = append(es, entry{name, filepath.Join(dir, name), fi, fi.Sys().(*syscall.Stat_t)})
			}
		}
		if f.has("a") {
			for _, name := range []string{".", ".."} {
				fi, err := os.Lstat(filepath.Join(dir, name))
				add(name, fi, err)
			}
		}
		var below []string
		for _, e := range list {
			if e.Name()[0] == '.' && !f.has("a", "A") {
				continue
			}
			fi, err := e.Info()
			add(e.Name(), fi, err)
			if f.has("R") && e.IsDir() {
				below = append(below, filepath.Join(dir, e.Name()))
			}
		}
		dirs = slices.Insert(dirs, i+1, below...)
		if f.has("l") {
			var blocks int64
			for _, e := range es {
				blocks += e.st.Blocks
			}
			fmt.Fprintln(c.out, "total", blocks/2)
		}
		c.listEntries(es, f, ids)
	}
}

func (c *cmd) listEntries(es []entry, f flags, ids names) {
	slices.SortStableFunc(es, func(a, b entry) int {
		n := 0
		switch {
		case f.has("t"):
			n = b.fi.ModTime().Compare(a.fi.ModTime())
		case f.has("S"):
			n = int(b.st.Size - a.st.Size)
		}
		if n == 0 {
			n = strings.Compare(a.name, b.name)
		}
		if f.has("r") {
			n = -n
		}
		return n
	})
	var rows [][]string
	for _, e := range es {
		name := e.name
		if f.has("F") {
			name += map[fs.FileMode]string{fs.ModeDir: "/", fs.ModeSymlink: "@", fs.ModeNamedPipe: "|", fs.ModeSocket: "="}[e.fi.Mode().Type()]
		}
		if f.has("i") {
			name = fmt.Sprintf("%d %s", e.st.Ino, name)
		}
		if !f.has("l") {
			rows = append(rows, []string{name})
			continue
		}
		size := strconv.FormatInt(e.st.Size, 10)
		switch e.st.Mode & unix.S_IFMT {
		case unix.S_IFCHR, unix.S_IFBLK:
			size = fmt.Sprintf("%d,%4d", unix.Major(e.st.Rdev), unix.Minor(e.st.Rdev))
		case unix.S_IFLNK:
			to, _ := os.Readlink(e.path)
			name += " -> " + to
		}
		if f.has("h") {
			size = human(e.st.Size)
		}
		owner, group := fmt.Sprint(e.st.Uid), fmt.Sprint(e.st.Gid)
		if !f.has("n") {
			owner, group = ids.user(e.st.Uid), ids.group(e.st.Gid)
		}
		when := "Jan _2 15:04"
		if age := time.Since(e.fi.ModTime()); age > 182*24*time.Hour || age < -time.Hour {
			when = "Jan _2  2006"
		}
		rows = append(rows, []string{modeString(e.st.Mode), fmt.Sprint(e.st.Nlink), owner, group, size, e.fi.ModTime().Format(when), name})
	}
	ws, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	if err == nil && !f.has("l", "1") {
		rows = columns(rows, int(ws.Col))
	}
	c.table(rows, "lrllrll")
}
