package hostgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coracle/internal/check"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, mounts, own, want string }{
		{"pure v2",
			"30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
			"0::/user.slice/session-2.scope\n",
			"v2 /sys/fs/cgroup /sys/fs/cgroup/user.slice/session-2.scope"},
		{"hybrid",
			"30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				"31 1 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"4:memory:/a\n2:cpu,cpuacct:/\n0::/\n",
			"memory /sys/fs/cgroup/memory /sys/fs/cgroup/memory/a; v2 /sys/fs/cgroup/unified /sys/fs/cgroup/unified"},
		{"a part of the tree is mounted",
			"30 1 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"0::/docker/x/leaf\n",
			"v2 /sys/fs/cgroup /sys/fs/cgroup/leaf"},
		{"the last mount covers the first, one elsewhere does not count",
			"30 1 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n" +
				"31 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n" +
				"32 1 0:26 / /run/other rw - cgroup2 cgroup rw\n",
			"0::/tests\n",
			"v2 /sys/fs/cgroup /sys/fs/cgroup/tests"},
		{"this process is outside of its cgroup namespace's root",
			"30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/../x\n", ""},
	} {
		all, err := parse([]byte(c.mounts), []byte(c.own))
		check.NoError(t, c.name, err)
		var got []string
		for _, h := range all {
			kind := strings.Join(h.Controllers, ",")
			if h.V2() {
				kind = "v2"
			}
			got = append(got, kind+" "+h.Mount+" "+h.Own)
		}
		check.Equal(t, c.name, c.want, strings.Join(got, "; "))
	}
	all, err := join([]byte("30 1 0:26 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), []byte("0::/\n"), true)
	check.NoError(t, "a mount from outside of the cgroup namespace", err)
	check.Equal(t, "a mount from outside of the cgroup namespace", []Hierarchy{{Mount: "/sys/fs/cgroup"}}, all)
	_, err = parse(nil, []byte("nonsense\n"))
	check.ErrorHas(t, "parse of a bad line", err, []string{"nonsense"})
}

func TestHierarchy_UpwardsEnds(t *testing.T) {
	for _, c := range []struct{ own, want string }{
		{"/m/a/b", "/m/a/b /m/a /m"},
		{"/m", "/m"},
		{"/m/a/coracle-limit-1-2-3/leaf", "/m/a/coracle-limit-1-2-3/leaf /m/a/coracle-limit-1-2-3"},
	} {
		check.Equal(t, "upwards from "+c.own, c.want, strings.Join(Hierarchy{Mount: "/m", Own: c.own}.upwards(), " "))
	}
	got := Hierarchy{Mount: "/m", Own: "/m/user@7.service/app.slice/run-1.scope/leaf"}.upwards()
	want := 2
	if os.Geteuid() == 0 {
		want = 5
	}
	check.Equal(t, "upwards from a scope's leaf, as this user", want, len(got))
}

// The rules about names are tried on plain folders: they are about folders.
func TestCollectIn_OnlyWhatIsAbandoned(t *testing.T) {
	dir := t.TempDir()
	mine := Name("test")
	parts := strings.Split(mine, "-")
	parts[3] = "1" // the same pid, but it started at another time
	dead := strings.Join(parts, "-")
	parts[4] = "1" // a PID namespace that is not ours: its pids say nothing
	foreign := strings.Join(parts, "-")
	for _, name := range []string{mine, dead, filepath.Join(dead, "sub"), foreign, "coracle-leaf", "other"} {
		check.NoError(t, "mkdir", os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	removed, err := CollectIn(dir)
	check.NoError(t, "CollectIn", err)
	check.Equal(t, "removed", []string{filepath.Join(dir, dead)}, removed)
}
