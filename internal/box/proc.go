package box

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one row of ps, by the names that -o takes.
type process map[string]string

// readProcess reads /proc/PID (proc_pid_stat(5), proc_pid_status(5)).
func readProcess(pid string, ids names) (process, error) {
	dir := "/proc/" + pid
	raw, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return nil, err
	}
	st, err := fields(dir + "/status")
	if err != nil {
		return nil, err
	}
	// The name is in parentheses and may hold any byte: fields count from the last ")".
	open, shut := strings.IndexByte(string(raw), '('), strings.LastIndexByte(string(raw), ')')
	if open < 0 || shut < open {
		return nil, fmt.Errorf("%s/stat: not understood", dir)
	}
	f := strings.Fields(string(raw[shut+1:]))
	one := func(key string) string { return append(st[key], "0")[0] }
	utime, _ := strconv.Atoi(f[11])
	stime, _ := strconv.Atoi(f[12])
	secs := (utime + stime) / 100 // USER_HZ is 100 on every Linux that Go runs on
	uid, _ := strconv.ParseUint(one("Uid"), 10, 32)
	comm := string(raw[open+1 : shut])
	args, _ := os.ReadFile(dir + "/cmdline")
	line := strings.TrimRight(strings.ReplaceAll(string(args), "\x00", " "), " ")
	group, _ := os.ReadFile(dir + "/cgroup")
	_, path, _ := strings.Cut(strings.TrimSpace(string(group[strings.LastIndex(strings.TrimSpace(string(group)), "\n")+1:])), "::")
	tty := "?"
	if f[4] != "0" {
		dev, _ := strconv.ParseUint(f[4], 10, 32)
		tty = map[uint32]string{136: "pts/", 5: "console"}[unix.Major(dev)]
		if tty == "pts/" {
			tty += strconv.Itoa(int(unix.Minor(dev)))
		}
	}
	return process{"pid": pid, "ppid": f[1], "pgid": f[2], "sid": f[3], "uid": one("Uid"), "user": ids.user(uint32(uid)),
		"stat": f[0], "tty": cmp.Or(tty, "?"), "rss": one("VmRSS"), "vsz": one("VmSize"), "threads": one("Threads"), "comm": comm,
		"time": fmt.Sprintf("%d:%02d", secs/60, secs%60), "args": cmp.Or(line, "["+comm+"]"), "cgroup": path}, nil
}

func ps(c *cmd) {
	// ps has two grammars; everything but -o only asks for what is shown anyway.
	var cols []string
	for i, a := range c.args {
		if v, ok := strings.CutPrefix(a, "-o"); ok {
			if v == "" && i+1 < len(c.args) {
				v = c.args[i+1]
			}
			cols = append(cols, strings.Split(v, ",")...)
		} else if strings.Trim(a, "-aAefluxw") != "" && (i == 0 || c.args[i-1] != "-o") {
			c.misuse()
		}
	}
	if cols == nil {
		cols = strings.Split("pid,ppid,user,stat,rss,time,args", ",")
	}
	var head []string
	align := ""
	known := "pid ppid pgid sid uid user stat tty rss vsz threads comm time args cgroup"
	for _, col := range cols {
		if !slices.Contains(strings.Fields(known), col) {
			c.die(2, "-o %s: not one of %s", col, known)
		}
		head = append(head, strings.ToUpper(col))
		if slices.Contains([]string{"user", "stat", "tty", "comm", "args", "cgroup"}, col) {
			align += "l"
		} else {
			align += "r"
		}
	}
	entries, err := os.ReadDir("/proc")
	c.check(err)
	rows, ids := [][]string{head}, names{}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		c.die(1, "/proc: not mounted (mount -t proc proc /proc)")
	}
	slices.Sort(pids)
	for _, pid := range pids {
		p, err := readProcess(strconv.Itoa(pid), ids)
		if err != nil {
			continue // it ended while we read
		}
		var row []string
		for _, col := range cols {
			row = append(row, p[col])
		}
		rows = append(rows, row)
	}
	c.table(rows, align)
}

func kill(c *cmd) {
	sig := syscall.SIGTERM
	if len(c.args) > 0 && len(c.args[0]) > 1 && c.args[0][0] == '-' && c.args[0] != "--" {
		name := c.args[0][1:]
		c.args = c.args[1:]
		if name == "l" {
			for s := syscall.Signal(1); s < 32; s++ {
				fmt.Fprintf(c.out, "%2d %s\n", s, strings.TrimPrefix(unix.SignalName(s), "SIG"))
			}
			return
		}
		if name == "s" && len(c.args) > 0 {
			name, c.args = c.args[0], c.args[1:]
		}
		n, err := strconv.Atoi(name)
		if sig = syscall.Signal(n); err != nil {
			if sig = unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); sig == 0 {
				c.die(2, "%s: not a signal (kill -l lists them)", name)
			}
		}
	}
	if len(c.args) > 0 && c.args[0] == "--" {
		c.args = c.args[1:]
	}
	if len(c.args) == 0 {
		c.misuse()
	}
	for _, a := range c.args {
		pid, err := strconv.Atoi(a)
		if err != nil {
			err = fmt.Errorf("%s: not a process id", a)
		} else {
			err = on(a, syscall.Kill(pid, sig))
		}
		if err != nil {
			c.warn(err)
		}
	}
}

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

func caps(c *cmd) {
	c.parse("", 0)
	pid := "self"
	if len(c.args) > 0 {
		pid = filepath.Base(c.args[0])
	}
	st, err := fields("/proc/" + pid + "/status")
	c.check(err)
	for _, x := range [][2]string{{"CapInh", "inheritable"}, {"CapPrm", "permitted"}, {"CapEff", "effective"}, {"CapBnd", "bounding"}, {"CapAmb", "ambient"}} {
		hex := append(st[x[0]], "")[0]
		bits, err := strconv.ParseUint(hex, 16, 64)
		c.check(on(x[0], err))
		var held []string
		for i := range 64 {
			if bits&(1<<i) != 0 {
				held = append(held, capName(i))
			}
		}
		fmt.Fprintf(c.out, "%-12s %s %s\n", x[1]+":", hex, cmp.Or(strings.Join(held, ","), "none"))
	}
	mode := map[string]string{"0": "off", "1": "strict", "2": "filter"}[append(st["Seccomp"], "")[0]]
	fmt.Fprintf(c.out, "no_new_privs: %s\nseccomp:      %s\n", append(st["NoNewPrivs"], "?")[0], cmp.Or(mode, "unknown"))
}

// capName follows include/uapi/linux/capability.h.
func capName(i int) string {
	known := strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
		net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace
		sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control
		setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`)
	if i < len(known) {
		return known[i]
	}
	return "cap_" + strconv.Itoa(i)
}
