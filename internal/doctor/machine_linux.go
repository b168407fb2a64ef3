package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

func machine(ctx context.Context, o Options) []Check {
	checks := []Check{kernel()}
	checks = append(checks, namespaces(ctx, o.Probe)...)
	groups := cgroups()
	if groups.Level == Warn {
		groups.Parts = []int{2}
	}
	checks = append(checks, groups)
	return append(checks, terminal())
}

// kernel: mount_setattr(2), which the sandbox closes the file system with, is
// of 5.12; overlay in a user namespace of 5.11; cgroup.kill of 5.14.
func kernel() Check {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fail("kernel", "", []int{1, 2}, "uname: %v", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	what := "Linux " + release
	if strings.Contains(strings.ToLower(release), "microsoft") {
		what += " (WSL)"
		if major < 5 {
			return fail("kernel", "wsl --set-version DISTRIBUTION 2", []int{1, 2}, "%s is no Linux kernel", what)
		}
	}
	switch at := major*1000 + minor; {
	case at < 5012:
		return fail("kernel", "a kernel of 5.12 or newer, or: ./lab vm test 1", []int{1, 2}, "%s; the sandbox needs mount_setattr of 5.12", what)
	case at < 5014:
		return warn("kernel", "a newer kernel, or: ./lab vm test 2", "%s; cgroup.kill is of 5.14", what)
	}
	return ok("kernel", "%s", what)
}

func cgroups() Check {
	all, err := hostgroup.Hierarchies()
	if err != nil || len(all) == 0 {
		return warn("cgroups", "./lab vm test 2 runs chapter 2 in a virtual machine", "none is mounted (%v)", err)
	}
	v1 := 0
	for _, h := range all {
		if !h.V2() {
			v1++
		}
	}
	unified, err := hostgroup.Unified()
	switch {
	case err != nil:
		return warn("cgroups", "./lab vm test 2, or boot with systemd.unified_cgroup_hierarchy=1", "version 1 only: chapter 2 teaches version 2")
	case v1 > 0:
		const fix = "./lab vm test 2, or boot with systemd.unified_cgroup_hierarchy=1"
		if _, err := unified.Parent(); err != nil {
			return warn("cgroups", fix, "hybrid (limits are version 1's), and %v", err)
		}
		return warn("cgroups", fix, "hybrid: groups can be made at %s, and birth, freeze, kill and pressure run here; it offers %s, limits are version 1's",
			unified.Mount, wordsOr(unified.Available(), "no controllers"))
	}
	dir, err := unified.Parent("cpu", "memory", "pids")
	if err == nil {
		return ok("cgroups", "version 2, groups with cpu, memory and pids can be made below %s", dir)
	}
	if _, err2 := os.Stat("/run/systemd/private"); err2 == nil || systemdUser() {
		fix := "nothing, the tests get a group through systemd-run --user --scope; for limit: systemd-run --user --scope -p Delegate=yes -- ./lab run 2 limit …"
		return warn("cgroups", fix, "version 2, not delegated to this shell: %v", err)
	}
	return warn("cgroups", "run as root, log in through systemd, or: ./lab vm test 2", "version 2, and %v", err)
}

func systemdUser() bool {
	_, err := os.Stat(fmt.Sprintf("/run/user/%d/systemd/private", os.Getuid()))
	return err == nil
}

func wordsOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}

func terminal() Check {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return warn("terminals", "mount devpts on /dev/pts", "open /dev/ptmx: %v; interactive shells need it", err)
	}
	f.Close()
	return ok("terminals", "/dev/ptmx gives new ones")
}

// network names the kind of a network file system, "" for a local one.
func network(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "SMB",
		unix.V9FS_MAGIC: "9P (a folder of the host, as WSL's /mnt/c)", unix.AFS_SUPER_MAGIC: "AFS", unix.CEPH_SUPER_MAGIC: "Ceph",
		unix.FUSE_SUPER_MAGIC: "FUSE",
	}[int64(st.Type)]
}
