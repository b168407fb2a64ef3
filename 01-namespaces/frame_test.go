package namespaces

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// What is given around the exercises is tested here; it needs none of them.

func TestReadSpec(t *testing.T) {
	for text, want := range map[string]string{
		`{"args":["true"]}`:                      "",
		`{"args":["true"],"argh":1}`:             `unknown field "argh"`,
		`{"args":["true"]} {}`:                   "more than one",
		`{"args":[]}`:                            "args is empty",
		`{"args":["true"],"env":["A"]}`:          `"A" is not NAME=value`,
		`{"args":["true"],"hostname":"x"}`:       "add a uts namespace",
		`{"args":["true"],"root":{"path":"/x"}}`: "needs a mnt namespace",
		`{"args":["true"],"namespaces":[{"type":"pid"},{"type":"pid"}]}`: "listed twice",
		`{"args":["true"],"uidMap":[{"size":1}]}`:                        "needs a user namespace",
		`{"args":["true"],"maskedPaths":["a/../b"]}`:                     "not absolute and clean",
		`{"args":["true"],"namespaces":[{"type":"user"}],"gidMap":[{"container":0,"host":0,"size":2},{"container":2,"host":1,"size":2}]}`: "overlap outside",
		`{"args":["true"],"namespaces":[{"type":"user"}],"gidMap":[{"container":0,"host":0}]}`:                                            "want size > 0",
	} {
		_, err := ReadSpec(strings.NewReader(text))
		if want == "" {
			check.NoError(t, "ReadSpec("+text+")", err)
		} else {
			check.ErrorHas(t, "ReadSpec("+text+")", err, []string{"spec: ", want})
		}
	}
	var none []string
	check.ErrorHas(t, "Validate of capabilities that point to nil", (&Spec{Args: []string{"true"}, Capabilities: &none}).Validate(), []string{"nil list"})
}

func FuzzReadSpec(f *testing.F) {
	f.Add(`{"args":["true"],"namespaces":[{"type":"user"}],"uidMap":[{"container":0,"host":0,"size":9223372036854775807}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := ReadSpec(strings.NewReader(text))
		if err == nil && (len(spec.Args) == 0 || spec.Args[0] == "") {
			t.Fatal("a spec without a program was accepted")
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("an error of more than one line: %q", err)
		}
	})
}

func TestLookup(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/tool": 0o644, "b/tool": 0o755, "a/plain": 0o644, "b/folder/x": 0o755} {
		check.NoError(t, "make a folder", os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check.NoError(t, "write a file", os.WriteFile(filepath.Join(dir, name), nil, mode))
	}
	inPath := []string{"PATH=" + dir + "/a:" + dir + "/b"}
	found, err := lookup(&Spec{Args: []string{"tool"}, Env: inPath})
	check.NoError(t, "look up tool", err)
	check.Equal(t, "the first that is executable", dir+"/b/tool", found)
	for name, want := range map[string]error{"plain": fs.ErrPermission, "folder": fs.ErrPermission, "none": fs.ErrNotExist, dir + "/none": fs.ErrNotExist, dir + "/a/plain": fs.ErrPermission} {
		_, err := lookup(&Spec{Args: []string{name}, Env: inPath})
		check.ErrorIs(t, "look up "+name, err, want)
		var start *StartError
		check.True(t, "its error", errors.As(err, &start) && start.Program, check.Error(err), "a StartError of the program")
	}
}

func TestStartError_CrossesThePipe(t *testing.T) {
	for _, err := range []error{
		programError("x", unix.ENOENT), errors.New("no errno"), &os.PathError{Op: "mount", Path: "/x", Err: unix.EPERM},
	} {
		got := decodeError(encodeError(err))
		check.Equal(t, "the text", err.Error(), got.Error())
		check.Equal(t, "that it is EPERM", errors.Is(err, unix.EPERM), errors.Is(got, unix.EPERM))
	}
	check.ErrorHas(t, "decode what a crash left", decodeError([]byte("panic: x")), []string{"panic: x"})
}

func TestSubIDs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	check.NoError(t, "write a file", os.WriteFile(file, []byte("# none\njoe:100000:65536\nann:1:2:3\n1000:300000:10\nann:x:1\nann:200000:5\n"), 0o644))
	check.Equal(t, "the ranges of joe, who is 1000", []IDMap{{1, 100000, 65536}, {65537, 300000, 10}}, subIDs(file, "joe", "1000"))
	check.Equal(t, "the range of ann", []IDMap{{1, 200000, 5}}, subIDs(file, "ann", "1001"))
	check.Equal(t, "the ranges in a file that is not there", 0, len(subIDs(file+"x", "ann", "1001")))
}

func TestExplainClone(t *testing.T) {
	moon := &Spec{Namespaces: []Namespace{{Type: "moon"}}}
	check.ErrorHas(t, "EINVAL", explainClone(moon, unix.EINVAL), []string{"no moon namespaces"})
	check.ErrorHas(t, "EPERM", explainClone(moon, unix.EPERM), []string{"be root"})
	check.ErrorHas(t, "EPERM", explainClone(&Spec{Namespaces: []Namespace{{Type: UserNS}}}, unix.EPERM), []string{"./lab doctor"})
	check.ErrorHas(t, "ENOSPC", explainClone(moon, unix.ENOSPC), []string{"max_*_namespaces"})
}

// A bind's target is looked up as if the root were / already.
func TestBind_StaysBelowTheRoot(t *testing.T) {
	sandbox.Need(t)
	root := t.TempDir()
	check.NoError(t, "make folders", errors.Join(os.Mkdir(root+"/etc", 0o755), os.Symlink("../../../../etc", root+"/out"), os.Symlink("/etc", root+"/abs")))
	source := t.TempDir()
	check.NoError(t, "write a file", os.WriteFile(source+"/mine", nil, 0o644))
	for _, target := range []string{"/out", "/abs", "/../../etc", "/abs/new/folder", "/out/new"} {
		spec := &Spec{Root: &Root{Path: root}, Mounts: []Mount{{Source: source, Target: target, Readonly: true}}}
		check.NoError(t, "bind on "+target, bindAll(spec))
		at, err := filepath.Glob(root + "/etc/mine")
		more, _ := filepath.Glob(root + "/etc/new/*/mine")
		again, _ := filepath.Glob(root + "/etc/new/mine")
		check.NoError(t, "look for it", err)
		check.Equal(t, "bind on "+target+": the places below root where it is", 1, len(at)+len(more)+len(again))
		_, err = os.Stat("/etc/mine")
		check.ErrorIs(t, "look for it in /etc", err, fs.ErrNotExist)
		for _, dir := range []string{"/etc/new/folder", "/etc/new", "/etc"} {
			unix.Unmount(root+dir, unix.MNT_DETACH)
		}
	}
	spec := &Spec{Root: &Root{Path: root, Readonly: true}, Mounts: []Mount{{Source: source, Target: "/none"}}}
	check.ErrorHas(t, "bind on a place that a read-only root lacks", bindAll(spec), []string{"/none", "read-only root"})
}
