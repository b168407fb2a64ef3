package box

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func id(c *cmd) {
	f := c.parse("u g G n", 0)
	ids := names{}
	show := func(num uint32, name string) string {
		if f.has("n") {
			return name
		}
		return strconv.FormatUint(uint64(num), 10)
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	groups, err := os.Getgroups()
	c.check(err)
	if !slices.Contains(groups, int(gid)) {
		groups = append([]int{int(gid)}, groups...)
	}
	var all, named []string
	for _, g := range groups {
		all = append(all, show(uint32(g), ids.group(uint32(g))))
		named = append(named, fmt.Sprintf("%d(%s)", g, ids.group(uint32(g))))
	}
	switch {
	case f.has("u"):
		fmt.Fprintln(c.out, show(uid, ids.user(uid)))
	case f.has("g"):
		fmt.Fprintln(c.out, show(gid, ids.group(gid)))
	case f.has("G"):
		fmt.Fprintln(c.out, strings.Join(all, " "))
	default:
		fmt.Fprintf(c.out, "uid=%d(%s) gid=%d(%s) groups=%s\n", uid, ids.user(uid), gid, ids.group(gid), strings.Join(named, ","))
	}
}

func whoami(c *cmd) {
	uid := strconv.Itoa(os.Geteuid())
	u, err := user.LookupId(uid)
	if err != nil {
		c.die(1, "uid %s: no name in /etc/passwd", uid)
	}
	fmt.Fprintln(c.out, u.Username)
}

func hostname(c *cmd) {
	c.parse("", 0)
	if len(c.args) > 0 {
		c.check(on(c.args[0], unix.Sethostname([]byte(c.args[0]))))
		return
	}
	name, err := os.Hostname()
	c.check(err)
	fmt.Fprintln(c.out, name)
}

func uname(c *cmd) {
	f := c.parse("a s n r v m", 0)
	var u unix.Utsname
	c.check(unix.Uname(&u))
	if len(f) == 0 {
		f = flags{"s": ""}
	}
	var out []string
	for _, x := range []struct {
		flag  string
		value []byte
	}{{"s", u.Sysname[:]}, {"n", u.Nodename[:]}, {"r", u.Release[:]}, {"v", u.Version[:]}, {"m", u.Machine[:]}} {
		if f.has("a", x.flag) {
			out = append(out, unix.ByteSliceToString(x.value))
		}
	}
	fmt.Fprintln(c.out, strings.Join(out, " "))
}

func nproc(c *cmd) { fmt.Fprintln(c.out, runtime.NumCPU()) }

func free(c *cmd) {
	f := c.parse("h m k b", 0)
	m, err := fields("/proc/meminfo")
	c.check(err)
	kb := func(key string) int64 {
		n, _ := strconv.ParseInt(append(m[key], "0")[0], 10, 64)
		return n
	}
	show := func(n int64) string {
		switch {
		case f.has("h"):
			return human(n << 10)
		case f.has("m"):
			n >>= 10
		case f.has("b"):
			n <<= 10
		}
		return strconv.FormatInt(n, 10)
	}
	cache := kb("Buffers") + kb("Cached") + kb("SReclaimable")
	c.table([][]string{
		{"", "total", "used", "free", "shared", "cache", "available"},
		{"Mem:", show(kb("MemTotal")), show(kb("MemTotal") - kb("MemFree") - cache), show(kb("MemFree")), show(kb("Shmem")), show(cache), show(kb("MemAvailable"))},
		{"Swap:", show(kb("SwapTotal")), show(kb("SwapTotal") - kb("SwapFree")), show(kb("SwapFree"))},
	}, "lr")
}
