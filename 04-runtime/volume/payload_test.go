package volume

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

func TestProjected_WhatThePodAsksFor(t *testing.T) {
	v, o := begin(t)
	o.maps["shop/conf"] = map[string]string{"a": "1", "b": "2"}
	o.secrets["shop/key"] = map[string]string{"pass": "word", "a": "s"}
	pod := manifest(t, `
  - {name: all, configMap: {name: conf}}
  - {name: some, configMap: {name: conf, defaultMode: 256, items: [{key: a, path: x/y}, {key: b, path: z, mode: 493}]}}
  - {name: none, configMap: {name: missing, optional: true}}
  - {name: half, configMap: {name: conf, optional: true, items: [{key: a, path: a}, {key: q, path: q}]}}
  - {name: secret, secret: {secretName: key}}
  - {name: self, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: mem, resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}]}}
  - {name: mix, projected: {sources: [{configMap: {name: conf}}, {secret: {name: key, items: [{key: a, path: a, mode: 384}]}}, {downwardAPI: {items: [{path: d/uid, fieldRef: {fieldPath: metadata.uid}}]}}]}}`)
	old := unix.Umask(0o077) // takes nothing from the modes
	defer unix.Umask(old)
	for range 2 { // the second time, all is there
		setUp(t, v, pod)
		for name, want := range map[string]string{
			"all":    "a=1:0644 b=2:0644",
			"some":   "x/y=1:0400 z=2:0755",
			"none":   "",
			"half":   "a=1:0644",
			"secret": "a=s:0644 pass=word:0644",
			"self":   `labels=app="web":0644 mem=32:0644`,
			"mix":    "a=s:0600 b=2:0644 d/uid=u-1:0644",
		} {
			check.Equal(t, "volume "+name, want, tree(t, at(t, v, pod, name)))
		}
	}
	var fs unix.Statfs_t
	check.NoError(t, "statfs", unix.Statfs(at(t, v, pod, "secret"), &fs))
	check.Equal(t, "the file system of a secret", int64(unix.TMPFS_MAGIC), int64(fs.Type))
	all, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(at(t, v, pod, "secret")))
	check.NoError(t, "read the mounts", err)
	check.Equal(t, "mounts of a secret", 1, len(all))
	t.Log("a secret's mount: " + all[0].VFSOptions)
}

func TestProjected_UpdatesAreSeen(t *testing.T) {
	v, o := begin(t)
	o.maps["shop/conf"] = map[string]string{"a": "1", "old": "x"}
	pod := manifest(t, "[{name: conf, configMap: {name: conf}}]")
	setUp(t, v, pod)
	// What a container has is a mount of the folder: the updates come through it.
	inside := t.TempDir()
	check.NoError(t, "bind", unix.Mount(at(t, v, pod, "conf"), inside, "", unix.MS_BIND, ""))
	defer unix.Unmount(inside, unix.MNT_DETACH)
	o.maps["shop/conf"] = map[string]string{"a": "2", "new": "y"}
	setUp(t, v, pod)
	check.Equal(t, "what the container sees", "a=2:0644 new=y:0644", tree(t, inside))
	first, err := os.Readlink(filepath.Join(inside, dataLink))
	check.NoError(t, "..data", err)
	setUp(t, v, pod)
	second, _ := os.Readlink(filepath.Join(inside, dataLink))
	check.Equal(t, "the state after nothing changed", first, second)
	entries, _ := os.ReadDir(inside)
	check.Equal(t, "entries: a, new, ..data, one state", 4, len(entries))
}

func TestProjected_WaitsWithAReason(t *testing.T) {
	v, o := begin(t)
	o.maps["shop/conf"] = map[string]string{"a": "1"}
	o.maps["other/there"] = map[string]string{"a": "1"}
	for volume, want := range map[string]string{
		"{name: v, configMap: {name: there}}":                                                                      `configmap "there" not found`,
		"{name: v, secret: {secretName: s}}":                                                                       `secret "s" not found`,
		"{name: v, configMap: {name: conf, items: [{key: q, path: q}]}}":                                           "references non-existent config key: q",
		"{name: v, projected: {sources: [{serviceAccountToken: {path: token}}]}}":                                  "chapter 5",
		"{name: v, downwardAPI: {items: [{path: x, fieldRef: {fieldPath: spec.nodeName}}]}}":                       "unsupported fieldPath: spec.nodeName",
		"{name: v, downwardAPI: {items: [{path: ../x, fieldRef: {fieldPath: metadata.name}}]}}":                    "'..'",
		"{name: v, projected: {sources: [{configMap: {name: conf, items: [{key: a, path: /etc/x}]}}]}}":            "relative path",
		"{name: v, projected: {sources: [{configMap: {name: conf, items: [{key: a, path: ..data}]}}]}}":            "'..'",
		"{name: v, downwardAPI: {items: [{path: x, resourceFieldRef: {containerName: q, resource: limits.cpu}}]}}": "container q not found",
		"{name: v, nfs: {server: s, path: /p}}":                                                                    "no volumes of its type",
		"{name: v, emptyDir: {medium: HugePages}}":                                                                 "HugePages",
	} {
		err := v.SetUp(t.Context(), manifest(t, "["+volume+"]"))
		check.ErrorHas(t, "SetUp of "+volume, err, []string{`MountVolume.SetUp failed for volume "v" : `, want})
	}
	pod := manifest(t, "[{name: v, secret: {secretName: s}}]")
	pod.Spec.Containers[0].VolumeMounts = nil
	check.NoError(t, "SetUp of a pod that mounts none of its volumes", v.SetUp(t.Context(), pod))
	pod.UID = "../u"
	check.ErrorHas(t, "SetUp with a UID that is a path", v.SetUp(t.Context(), pod), []string{"UID"})
	check.ErrorHas(t, "TearDown of a UID that is a path", v.TearDown("../u"), []string{"UID"})
}

// inotify(7) tells of every step: ..data is moved over, never removed.
func TestAtomic_IsNeverWithoutData(t *testing.T) {
	begin(t)
	dir, nothing := t.TempDir(), func(string) error { return nil }
	check.NoError(t, "write", writeAtomically(dir, payload{"a": {[]byte("1"), 0o644}}, nothing))
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	check.NoError(t, "inotify_init1", err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO)
	check.NoError(t, "inotify_add_watch", err)
	check.NoError(t, "write again", writeAtomically(dir, payload{"a": {[]byte("2"), 0o644}}, nothing))
	buf, events := make([]byte, 1<<16), []string{}
	n, err := unix.Read(fd, buf)
	check.NoError(t, "read the events", err)
	for at := 0; at < n; { // struct inotify_event: wd, mask, cookie, len, name
		mask, length := binary.NativeEndian.Uint32(buf[at+4:]), int(binary.NativeEndian.Uint32(buf[at+12:]))
		name := strings.TrimRight(string(buf[at+16:at+16+length]), "\x00")
		if name == dataLink {
			events = append(events, map[uint32]string{unix.IN_DELETE: "removed", unix.IN_MOVED_FROM: "moved away", unix.IN_MOVED_TO: "moved over"}[mask])
		}
		at += 16 + length
	}
	check.Equal(t, "what became of ..data", "moved over", strings.Join(events, ", "))
}

func TestAtomic_OneStateOrTheOther(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	write := func(n int) {
		text := []byte(strings.Repeat("x", n%7+1))
		check.NoError(t, "write", writeAtomically(dir, payload{"a": {text, 0o644}, "b": {text, 0o644}}, func(string) error { return nil }))
	}
	write(0)
	done := make(chan struct{})
	torn := make(chan string, 1)
	go func() {
		defer close(torn)
		for {
			select {
			case <-done:
				return
			default:
			}
			state, err := os.OpenRoot(filepath.Join(dir, dataLink))
			if err != nil {
				continue // the state was removed while its link was being followed
			}
			a, err1 := state.ReadFile("a")
			b, err2 := state.ReadFile("b")
			state.Close()
			if err1 == nil && err2 == nil && string(a) != string(b) { // a state that is gone is not torn
				torn <- string(a) + " and " + string(b)
				return
			}
		}
	}()
	for n := range 300 {
		write(n)
	}
	close(done)
	check.Equal(t, "what a reader saw of two states at once", "", <-torn)
}

func TestAtomic_GoesOnAfterACrash(t *testing.T) {
	begin(t)
	nothing := func(string) error { return nil }
	for name, crash := range map[string]func(dir string){
		"a state without ..data":  func(dir string) { os.Mkdir(filepath.Join(dir, "..2026_01_01_00_00_00.1"), 0o700) },
		"a link not yet renamed":  func(dir string) { os.Symlink("..gone", filepath.Join(dir, "..data_tmp")) },
		"a link that is missing":  func(dir string) { os.Remove(filepath.Join(dir, "a")) },
		"a link that is too much": func(dir string) { os.Symlink("..data/z", filepath.Join(dir, "z")) },
		"..data leads nowhere": func(dir string) {
			os.Remove(filepath.Join(dir, dataLink))
			os.Symlink("..gone", filepath.Join(dir, dataLink))
		},
	} {
		dir := t.TempDir()
		check.NoError(t, "write", writeAtomically(dir, payload{"a": {[]byte("1"), 0o644}}, nothing))
		crash(dir)
		check.NoError(t, "write after "+name, writeAtomically(dir, payload{"a": {[]byte("1"), 0o644}, "d/b": {nil, 0o600}}, nothing))
		check.Equal(t, "files after "+name, "a=1:0644 d/b=:0600", tree(t, dir))
		entries, _ := os.ReadDir(dir)
		check.Equal(t, "entries after "+name, 4, len(entries))
	}
}
