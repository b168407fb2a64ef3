package box

import (
	"cmp"
	"fmt"
	"os"
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
	line := strings.TrimRight(strings.NewReplacer("\x00", " ", "\n", " ").Replace(string(args)), " ")
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
