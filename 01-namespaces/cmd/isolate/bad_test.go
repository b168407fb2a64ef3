package main

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// Each bad input gets one line that says what and where, a status that is not the
// command's, and leaves nothing.
func TestIsolate_BadInput(t *testing.T) {
	needAll(t)
	root, flags := hostRoot(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		check.NoError(t, "write "+name, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
		return dir + "/" + name
	}
	plain := file("plain", "no program\n")
	check.NoError(t, "copy", os.WriteFile(root+"/plain", nil, 0o644))
	check.NoError(t, "copy", os.WriteFile(root+"/orphan", []byte("#!/no/such/interpreter\n"), 0o755))
	check.NoError(t, "make a root", os.Mkdir(dir+"/evil", 0o755))
	check.NoError(t, "link", os.Symlink("/etc", dir+"/evil/proc"))
	check.NoError(t, "link", os.Symlink("../../../../../../../..", root+"/out"))
	check.NoError(t, "make a folder", os.Mkdir(root+"/closed", 0o700))
	check.NoError(t, "make a root", os.Mkdir(dir+"/full", 0o755))
	check.NoError(t, "mount a small tmpfs", unix.Mount("tmpfs", dir+"/full", "tmpfs", 0, "nr_inodes=2"))
	t.Cleanup(func() { unix.Unmount(dir+"/full", unix.MNT_DETACH) })
	check.NoError(t, "fill it", os.WriteFile(dir+"/full/x", nil, 0o644))

	cases := []struct {
		what   string
		args   []string
		status int
		has    string
	}{
		{"a wrong flag", []string{"--hostnam", "x", "--", "true"}, 125, "hostnam"},
		{"a flag without its value", []string{"--root"}, 125, "root"},
		{"a value that is none", []string{"--net", "other", "--", "true"}, 125, `"other"`},
		{"a bind without a target", []string{"--bind", "/tmp", "--", "true"}, 125, "SRC:DST"},
		{"a user by name", []string{"--user", "joe", "--", "true"}, 125, "UID"},
		{"a missing command", append(flags, "--"), 125, "no command"},
		{"nothing at all", nil, 125, "no command"},
		{"a root that is not there", []string{"--root", dir + "/none", "--", "true"}, 125, dir + "/none"},
		{"a root that is a file", []string{"--root", plain, "--", "true"}, 125, plain + ": not a directory"},
		{"a root with a link out of it", []string{"--root", dir + "/evil", "--", "true"}, 125, dir + "/evil/proc"},
		{"a root that is /", []string{"--root", "/", "--", "true"}, 125, "--root /"},
		{"a root that is full", []string{"--root", dir + "/full", "--writable", "--bind", dir + ":/mnt", "--", "true"}, 125, "no space left"},
		{"a bind from nowhere", append(flags, "--bind", dir+"/none:/mnt", "--", "true"), 125, dir + "/none"},
		{"a bind on what is mounted later", append(flags, "--bind", dir+":/sys/fs/cgroup", "--", "true"), 125, "/sys/fs/cgroup would be hidden"},
		{"a bind on the root", append(flags, "--bind", dir+":/../", "--", "true"), 125, "another root"},
		{"a bind of a file on a folder", append(flags, "--bind", plain+":/closed", "--", "true"), 125, "one is a folder"},
		{"a working directory that is not there", append(flags, "--dir", "/none", "--", "true"), 125, "/none"},
		{"a working directory that is a file", append(flags, "--dir", "/plain", "--", "true"), 125, "/plain: not a directory"},
		{"a capability that is none", append(flags, "--keep", "fly", "--", "true"), 125, "CAP_FLY"},
		{"a hostname that is too long", append(flags, "--hostname", strings.Repeat("x", 65), "--", "true"), 125, "sethostname"},
		{"a command that is not executable", append(flags, "--", "/plain"), 126, "/plain: permission denied"},
		{"a command that is a folder", append(flags, "--", "/bin"), 126, "/bin"},
		{"a command that is not found", append(flags, "--", "no-such-program"), 127, "no-such-program"},
		{"a command whose path leads nowhere", append(flags, "--", "/none"), 127, "/none"},
		{"a script without its interpreter", append(flags, "--", "/orphan"), 127, "interpreter"},
		{"a spec that is not there", []string{"--spec", dir + "/none"}, 125, dir + "/none"},
		{"a spec with an unknown field", []string{"--spec", file("unknown", `{"args":["true"],"argh":1}`)}, 125, `"argh"`},
		{"a spec that is no JSON", []string{"--spec", plain}, 125, plain},
		{"a spec with maps that overlap", []string{"--spec", file("overlap", `{"args":["true"],"namespaces":[{"type":"user"}],
			"uidMap":[{"container":0,"host":5,"size":10},{"container":9,"host":50,"size":5}]}`)}, 125, "overlap inside"},
		{"a spec with an unknown namespace", []string{"--spec", file("kind", `{"args":["true"],"namespaces":[{"type":"moon"}]}`)}, 125, `"moon"`},
		{"a spec and a flag that it should hold", []string{"--spec", plain, "--hostname", "x"}, 125, "--hostname"},
		{"a hostname without a UTS namespace", []string{"--spec", file("uts", `{"args":["true"],"hostname":"x"}`)}, 125, "uts"},
		{"an enter without a name", []string{"enter"}, 125, "NAME"},
		{"an enter into nothing", []string{"enter", "999999999", "--", "true"}, 125, "999999999"},
		{"an enter with a root", []string{"enter", "1", "--root", "/", "--", "true"}, 125, "--root"},
		{"an ls of something", []string{"ls", "x"}, 125, `"x"`},
	}
	if sandbox.CurrentMode() == sandbox.Single {
		cases = append(cases, struct {
			what   string
			args   []string
			status int
			has    string
		}{"a user that is not mapped", append(flags, "--user", "1000", "--", "true"), 125, "is it mapped"})
	} else {
		cases = append(cases, struct {
			what   string
			args   []string
			status int
			has    string
		}{"an unreadable directory", append(flags, "--user", "1000", "--dir", "/closed", "--", "true"), 125, "/closed: permission denied"})
	}
	before := left(t)
	for _, c := range cases {
		out, errs, status := isolated(t, c.args...)
		check.Equal(t, c.what+": the exit status (it said "+strings.TrimSpace(errs)+")", c.status, status)
		check.True(t, c.what+": what it says", strings.HasPrefix(errs, "isolate: ") && strings.Count(errs, "\n") == 1 && strings.Contains(errs, c.has) && out == "",
			out+errs, "one line on stderr with "+c.has)
		check.True(t, c.what+": what is left", left(t) == before, left(t), "nothing new")
	}
}
