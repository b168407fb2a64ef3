package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestEmptyDir_StaysWithItsLimits(t *testing.T) {
	v, _ := begin(t)
	pod := manifest(t, "[{name: disk, emptyDir: {sizeLimit: 64Ki}}, {name: ram, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: big, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]")
	setUp(t, v, pod)
	for _, name := range []string{"disk", "ram"} {
		fi, err := os.Stat(at(t, v, pod, name))
		check.NoError(t, "stat", err)
		check.Equal(t, "the mode of "+name, fs.FileMode(0o777), fi.Mode().Perm())
		write(t, at(t, v, pod, name, "x"), "kept")
	}
	again := *v // the agent began anew, and knows nothing
	setUp(t, &again, pod)
	for _, name := range []string{"disk", "ram"} {
		check.Equal(t, name+" after another SetUp", "x=kept:0644", tree(t, at(t, &again, pod, name)))
	}
	size := func(name string) int64 {
		var st unix.Statfs_t
		check.NoError(t, "statfs", unix.Statfs(at(t, v, pod, name), &st))
		return int64(st.Blocks) * st.Bsize
	}
	check.Equal(t, "size of the tmpfs", int64(1<<20), size("ram"))
	check.Equal(t, "size of one with a limit above the pod's", int64(32<<20), size("big"))
	err := os.WriteFile(at(t, v, pod, "ram", "much"), make([]byte, 2<<20), 0o644)
	check.ErrorIs(t, "write 2 MiB into 1", err, unix.ENOSPC)

	over, err := v.Exceeded(pod)
	check.NoError(t, "Exceeded", err)
	check.True(t, "measure 4 bytes", over == nil, fmt.Sprint(over), "not over")
	// What is mounted there is not in it.
	check.NoError(t, "mkdir", os.Mkdir(at(t, v, pod, "disk", "other"), 0o755))
	check.NoError(t, "mount", unix.Mount("tmpfs", at(t, v, pod, "disk", "other"), "tmpfs", 0, ""))
	check.NoError(t, "write", os.WriteFile(at(t, v, pod, "disk", "other", "much"), make([]byte, 100<<10), 0o644))
	over, err = v.Exceeded(pod)
	check.NoError(t, "Exceeded", err)
	check.True(t, "measure 4 bytes and a mount", over == nil, fmt.Sprint(over), "not over")
	check.NoError(t, "write", os.WriteFile(at(t, v, pod, "disk", "much"), make([]byte, 100<<10), 0o644))
	check.NoError(t, "link", os.Symlink("/", at(t, v, pod, "disk", "all")))
	over, err = v.Exceeded(pod)
	check.NoError(t, "Exceeded", err)
	check.True(t, "measure 100 KiB", over != nil && over.Message == `Usage of EmptyDir volume "disk" exceeds the limit "64Ki". `, fmt.Sprintf("%+v", over), "over its limit of 64Ki")
}

func TestFSGroup_OwnsWhatThePodHas(t *testing.T) {
	v, o := begin(t)
	o.secrets["shop/key"] = map[string]string{"pass": "word"}
	gid := os.Getgid() // the one that there is in every mode
	for _, policy := range []string{"Always", "OnRootMismatch"} {
		pod := manifest(t, "[{name: disk, emptyDir: {}}, {name: key, secret: {secretName: key, defaultMode: 256}}, {name: h, hostPath: {path: "+t.TempDir()+"}}]",
			fmt.Sprintf("securityContext: {fsGroup: %d, fsGroupChangePolicy: %s}", gid, policy))
		host, err := os.Stat(at(t, v, pod, "h"))
		check.NoError(t, "stat", err)
		setUp(t, v, pod)
		setUp(t, v, pod)
		fi, err := os.Stat(at(t, v, pod, "disk"))
		check.NoError(t, "stat", err)
		check.Equal(t, "the emptyDir's mode", fs.ModeDir|fs.ModeSetgid|0o777, fi.Mode())
		check.Equal(t, "the secret's file", "pass=word:0440", tree(t, at(t, v, pod, "key")))
		after, _ := os.Stat(at(t, v, pod, "h"))
		check.Equal(t, "the host's folder", host.Mode(), after.Mode())
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "f"), "x")
	check.NoError(t, "link", os.Symlink("/etc/passwd", filepath.Join(dir, "l")))
	pod := manifest(t, "[]", "securityContext: {fsGroup: 1234}")
	check.NoError(t, "setGroup", setGroup(dir, pod, 0o660))
	var st unix.Stat_t
	check.NoError(t, "stat", unix.Lstat(filepath.Join(dir, "d", "f"), &st))
	if sandbox.CurrentMode() == sandbox.Single { // one id: the group stays, the mode is given
		check.Equal(t, "mode of a file", "664", fmt.Sprintf("%o", st.Mode&0o7777))
		return
	}
	check.Equal(t, "group and mode of a file", "1234 664", fmt.Sprintf("%d %o", st.Gid, st.Mode&0o7777))
	check.NoError(t, "stat", unix.Lstat(filepath.Join(dir, "d"), &st))
	check.Equal(t, "group and mode of a folder", "1234 2775", fmt.Sprintf("%d %o", st.Gid, st.Mode&0o7777))
	check.NoError(t, "stat", unix.Stat("/etc/passwd", &st))
	check.True(t, "what a link leads to", st.Gid != 1234, "changed", "as it was")
}

func TestHostPath_Types(t *testing.T) {
	v, _ := begin(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	check.NoError(t, "listen", err)
	defer l.Close()
	for _, c := range []struct{ path, kind, want string }{
		{"made", "", ""}, {"made2/below", "DirectoryOrCreate", ""}, {"made2", "Directory", ""}, {"new", "FileOrCreate", ""}, {"new", "File", ""},
		{"file", "File", ""}, {"socket", "Socket", ""}, {"file", "", ""}, {"/dev/null", "CharDevice", ""},
		{"none", "Directory", "is not a directory"}, {"file", "Directory", "is not a directory"}, {"file", "DirectoryOrCreate", "is not a directory"},
		{"none", "File", "is not a file"}, {"made", "FileOrCreate", "is not a file"}, {"no/such", "FileOrCreate", "no such file or directory"}, {"file", "Socket", "is not a socket file"},
		{"file", "CharDevice", "is not a character device"}, {"/dev/null", "BlockDevice", "is not a block device"}, {"file", "Door", "Door"},
	} {
		path := c.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		err := v.SetUp(t.Context(), manifest(t, fmt.Sprintf("[{name: v, hostPath: {path: %s, type: %q}}]", path, c.kind)))
		if c.want == "" {
			check.NoError(t, "SetUp of "+c.path+" as "+c.kind, err)
		} else {
			check.ErrorHas(t, "SetUp of "+c.path+" as "+c.kind, err, []string{c.want})
		}
	}
	fi, err := os.Stat(filepath.Join(dir, "new"))
	check.NoError(t, "the file that was made", err)
	check.True(t, "what was made", fi.Mode().IsRegular(), fi.Mode().String(), "a file")
}

func TestMounts_AsTheContainerAsks(t *testing.T) {
	v, o := begin(t)
	o.maps["shop/conf"] = map[string]string{"a": "1"}
	pod := manifest(t, "[{name: e, emptyDir: {}}, {name: conf, configMap: {name: conf}}, {name: i, image: {reference: x}}]")
	setUp(t, v, pod)
	c := &pod.Spec.Containers[0]
	one := func(m corev1.VolumeMount) string {
		c.VolumeMounts = []corev1.VolumeMount{m}
		all, err := v.Mounts(t.Context(), pod, c, map[string]string{"POD": "p", "UP": "../..", "ABS": "/etc", "EMPTY": ""})
		if err != nil {
			return err.Error()
		}
		all[0].Source = filepath.Base(all[0].Source)
		return fmt.Sprintf("%+v", all[0])
	}
	none, slave, shared := corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional
	enabled, possible := corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible
	for want, m := range map[string]corev1.VolumeMount{
		"{Source:e Image: SubPath: Target:/data Readonly:false RecursiveReadonly:false Propagation:private}":                               {Name: "e", MountPath: "data"},
		"{Source:e Image: SubPath: Target:/e Readonly:true RecursiveReadonly:true Propagation:private}":                                    {Name: "e", MountPath: "/e", ReadOnly: true, RecursiveReadOnly: &enabled, MountPropagation: &none},
		"{Source:e Image: SubPath: Target:/f Readonly:true RecursiveReadonly:true Propagation:private}":                                    {Name: "e", MountPath: "/f", ReadOnly: true, RecursiveReadOnly: &possible},
		"{Source:e Image: SubPath: Target:/e Readonly:false RecursiveReadonly:false Propagation:rslave}":                                   {Name: "e", MountPath: "/e", MountPropagation: &slave},
		"{Source:conf Image: SubPath: Target:/c Readonly:true RecursiveReadonly:false Propagation:private}":                                {Name: "conf", MountPath: "/c"},
		"{Source:. Image:sha256:1 SubPath:usr Target:/i Readonly:true RecursiveReadonly:false Propagation:private}":                        {Name: "i", MountPath: "/i", SubPath: "usr"},
		"{Source:0 Image: SubPath: Target:/x Readonly:false RecursiveReadonly:false Propagation:private}":                                  {Name: "e", MountPath: "/x", SubPathExpr: "$(POD)/x"},
		`volume "e" of container c: Bidirectional mount propagation is available only to privileged containers`:                            {Name: "e", MountPath: "/e", MountPropagation: &shared},
		`volume "e" of container c: recursiveReadOnly may only be specified when readOnly is true`:                                         {Name: "e", MountPath: "/e", RecursiveReadOnly: &enabled},
		`volume "e" of container c: recursiveReadOnly needs mountPropagation None, not HostToContainer`:                                    {Name: "e", MountPath: "/e", ReadOnly: true, RecursiveReadOnly: &enabled, MountPropagation: &slave},
		`failed to prepare subPath for volumeMount "e" of container "c": missing value for "NONE"`:                                         {Name: "e", MountPath: "/e", SubPathExpr: "a/$(NONE)"},
		`failed to prepare subPath for volumeMount "e" of container "c": subPathExpr $(EMPTY) is an empty path`:                            {Name: "e", MountPath: "/e", SubPathExpr: "$(EMPTY)"},
		"failed to prepare subPath for volumeMount \"e\" of container \"c\": SubPath `/etc` must not be an absolute path":                  {Name: "e", MountPath: "/e", SubPathExpr: "$(ABS)"},
		"failed to prepare subPath for volumeMount \"e\" of container \"c\": unable to provision SubPath `a/../..`: must not contain '..'": {Name: "e", MountPath: "/e", SubPathExpr: "a/$(UP)"},
	} {
		check.Equal(t, fmt.Sprintf("Mounts of %s on %s", m.Name, m.MountPath), want, one(m))
	}
	v.RecursiveReadonly = false
	got := one(corev1.VolumeMount{Name: "e", MountPath: "/e", ReadOnly: true, RecursiveReadOnly: &enabled})
	check.Equal(t, "recursiveReadOnly Enabled where it cannot be", `volume "e" of container c: recursiveReadOnly Enabled: this node's runtime cannot`, got)
}

func TestTearDown_RemovesNothingOfOthers(t *testing.T) {
	v, _ := begin(t)
	// A folder of the host that is shared, with a mount of its own in it.
	host := t.TempDir()
	check.NoError(t, "bind", unix.Mount(host, host, "", unix.MS_BIND, ""))
	defer unix.Unmount(host, unix.MNT_DETACH)
	check.NoError(t, "share", unix.Mount("", host, "", unix.MS_SHARED, ""))
	write(t, filepath.Join(host, "sub", "precious"), "x")
	check.NoError(t, "mkdir", os.Mkdir(filepath.Join(host, "sub", "disk"), 0o755))
	disk := filepath.Join(host, "sub", "disk")
	check.NoError(t, "mount", unix.Mount("tmpfs", disk, "tmpfs", 0, ""))
	write(t, filepath.Join(disk, "precious"), "y")
	before := mounts(t)

	pod := manifest(t, "[{name: h, hostPath: {path: "+host+"}}, {name: e, emptyDir: {}}]")
	shared, yes := corev1.MountPropagationBidirectional, true
	c := &pod.Spec.Containers[0]
	c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	c.VolumeMounts[0].SubPath, c.VolumeMounts[0].MountPropagation = "sub", &shared
	setUp(t, v, pod)
	check.Equal(t, "the subPath, with what is mounted there", "disk/precious=y:0644 precious=x:0644", tree(t, at(t, v, pod, "h")))
	// What a container left mounted in a volume of its own.
	check.NoError(t, "mount", unix.Mount("tmpfs", at(t, v, pod, "e"), "tmpfs", 0, ""))
	check.NoError(t, "TearDown", v.TearDown(pod.UID))
	check.Equal(t, "the host's folder", "disk/precious=y:0644 precious=x:0644", tree(t, filepath.Join(host, "sub")))
	check.Equal(t, "mounts", before, mounts(t))
	_, err := os.Stat(filepath.Join(v.Dir, string(pod.UID)))
	check.True(t, "the pod's folder", errors.Is(err, fs.ErrNotExist), check.Error(err), "gone")
	check.NoError(t, "unmount", unix.Unmount(disk, 0))
}

func TestFile_OfAnotherContainer(t *testing.T) {
	v, _ := begin(t)
	pod := manifest(t, "[{name: e, emptyDir: {}}, {name: h, hostPath: {path: /}}]")
	setUp(t, v, pod)
	dir := at(t, v, pod, "e")
	write(t, filepath.Join(dir, "env"), "A='1'")
	write(t, filepath.Join(dir, "big"), string(make([]byte, maxFile+1)))
	check.NoError(t, "link", os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	check.NoError(t, "pipe", unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	b, err := v.File(pod, "e", "env")
	check.NoError(t, "File", err)
	check.Equal(t, "the file", "A='1'", string(b))
	for path, want := range map[string]string{"link": "escapes", "../../../x": "escapes", "pipe": "no file", "big": "more than", "none": "no such file", ".": "no file"} {
		_, err := check.Within(t, "File of "+path, "its end", func() ([]byte, error) { return v.File(pod, "e", path) })
		check.ErrorHas(t, "File of "+path, err, []string{want})
	}
	_, err = v.File(pod, "h", "etc/passwd")
	check.ErrorHas(t, "File of a hostPath", err, []string{"no emptyDir"})
}

func BenchmarkSetUpAndTearDown(b *testing.B) {
	v, o := begin(b)
	o.maps["shop/conf"] = map[string]string{"a": "1", "b": "2"}
	o.secrets["shop/key"] = map[string]string{"pass": "word"}
	pod := manifest(b, "[{name: conf, configMap: {name: conf}}, {name: key, secret: {secretName: key}}, {name: e, emptyDir: {}}]")
	for b.Loop() {
		setUp(b, v, pod)
		check.NoError(b, "TearDown", v.TearDown(pod.UID))
	}
}

func BenchmarkSetUp_NothingChanged(b *testing.B) {
	v, o := begin(b)
	o.maps["shop/conf"] = map[string]string{"a": "1", "b": "2"}
	o.secrets["shop/key"] = map[string]string{"pass": "word"}
	pod := manifest(b, "[{name: conf, configMap: {name: conf}}, {name: key, secret: {secretName: key}}, {name: e, emptyDir: {}}]")
	for b.Loop() {
		setUp(b, v, pod)
	}
}
