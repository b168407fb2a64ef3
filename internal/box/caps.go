package box

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

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
