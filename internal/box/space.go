package box

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func stat(c *cmd) {
	f := c.parse("c: L", 1)
	ids := names{}
	for _, name := range c.args {
		var st unix.Stat_t
		get := unix.Lstat
		if f.has("L") {
			get = unix.Stat
		}
		if err := get(name, &st); err != nil {
			c.warn(on(name, err))
			continue
		}
		kind := map[uint32]string{unix.S_IFREG: "regular file", unix.S_IFDIR: "directory", unix.S_IFLNK: "symbolic link",
			unix.S_IFCHR: "character special file", unix.S_IFBLK: "block special file", unix.S_IFIFO: "fifo",
			unix.S_IFSOCK: "socket"}[st.Mode&unix.S_IFMT]
		perm, mtime := strconv.FormatUint(uint64(st.Mode&0o7777), 8), st.Mtim.Sec
		format := `%n: %F, %s bytes
mode %a (%A), owner %u (%U), group %g (%G), links %h
device %d, inode %i, blocks %b, modified %y`
		if v, ok := f["c"]; ok {
			format = v
		}
		fmt.Fprintln(c.out, strings.NewReplacer("%%", "%", "%n", name, "%F", kind, "%a", perm, "%A", modeString(st.Mode),
			"%s", fmt.Sprint(st.Size), "%u", fmt.Sprint(st.Uid), "%g", fmt.Sprint(st.Gid), "%U", ids.user(st.Uid),
			"%G", ids.group(st.Gid), "%h", fmt.Sprint(st.Nlink), "%i", fmt.Sprint(st.Ino), "%b", fmt.Sprint(st.Blocks),
			"%d", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), "%Y", fmt.Sprint(mtime),
			"%t", fmt.Sprintf("%x", unix.Major(st.Rdev)), "%T", fmt.Sprintf("%x", unix.Minor(st.Rdev)),
			"%y", strftime("%F %T", time.Unix(mtime, 0))).Replace(format))
	}
}

func du(c *cmd) {
	f := c.parse("s h a k", 0)
	if len(c.args) == 0 {
		c.args = []string{"."}
	}
	seen := map[[2]uint64]bool{} // a file with two names occupies its blocks once
	show := func(kb int64, path string) {
		n := strconv.FormatInt(kb, 10)
		if f.has("h") {
			n = human(kb << 10)
		}
		fmt.Fprintf(c.out, "%s\t%s\n", n, path)
	}
	var size func(path string, top bool) int64
	size = func(path string, top bool) int64 {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			c.warn(on(path, err))
			return 0
		}
		if id := [2]uint64{st.Dev, st.Ino}; seen[id] {
			return 0
		} else if st.Nlink > 1 {
			seen[id] = true
		}
		kb, dir := st.Blocks/2, st.Mode&unix.S_IFMT == unix.S_IFDIR
		if dir {
			entries, err := os.ReadDir(path)
			if err != nil {
				c.warn(err)
			}
			for _, e := range entries {
				kb += size(filepath.Join(path, e.Name()), false)
			}
		}
		if top || (dir || f.has("a")) && !f.has("s") {
			show(kb, path)
		}
		return kb
	}
	for _, path := range c.args {
		size(path, true)
	}
}

func df(c *cmd) {
	f := c.parse("h k a", 0)
	rows := [][]string{{"FILESYSTEM", "SIZE", "USED", "AVAIL", "USE%", "MOUNTED ON"}}
	add := func(src, path string, all bool) {
		var st unix.Statfs_t
		if err := unix.Statfs(path, &st); err != nil {
			c.warn(on(path, err))
			return
		}
		if st.Blocks == 0 && !all {
			return
		}
		b := uint64(st.Bsize)
		row := []string{src}
		for _, n := range []uint64{st.Blocks * b, (st.Blocks - st.Bfree) * b, st.Bavail * b} {
			if f.has("h") {
				row = append(row, human(int64(n)))
			} else {
				row = append(row, strconv.FormatUint(n>>10, 10))
			}
		}
		used := st.Blocks - st.Bfree
		row = append(row, fmt.Sprintf("%d%%", (100*used+used+st.Bavail-1)/max(used+st.Bavail, 1)), path)
		rows = append(rows, row)
	}
	for _, path := range c.args {
		add("-", path, true)
	}
	if len(c.args) == 0 {
		for _, m := range c.mounts() {
			add(m[0], m[1], f.has("a"))
		}
	}
	c.table(rows, "lrrrrl")
}
