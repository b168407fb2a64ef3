package oci

import (
	"errors"
	"os"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestDevices_Default(t *testing.T) {
	b := newBundle(t, `cd /dev; stat -c '%n %F %a %t:%T' null zero full random urandom tty; readlink fd stdin stdout stderr ptmx
		echo lost > null; head -c 3 zero | wc -c; [ -e pts/ptmx ] && echo pts; [ -e console ] || echo no console`)
	want := "null character special file 666 1:3\nzero character special file 666 1:5\nfull character special file 666 1:7\n" +
		"random character special file 666 1:8\nurandom character special file 666 1:9\ntty character special file 666 5:0\n" +
		"/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n3\npts\nno console"
	b.prints("/dev", want)
}

func TestDevices_OfTheSpec(t *testing.T) {
	b := newBundle(t, `stat -c '%n %a %u:%g %t:%T' /dev/deep/mem /dev/pipe; (: > /dev/deep/mem) 2>/dev/null || echo closed; cat /dev/kmsg2 | head -c 2 | wc -c`)
	sandbox.Need(t, realRoot)
	mode, owner := os.FileMode(0o640), uint32(3)
	b.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/deep/mem", Type: "c", Major: 1, Minor: 1, FileMode: &mode, UID: &owner, GID: &owner},
		{Path: "/dev/pipe", Type: "p"},
		{Path: "/dev/kmsg2", Type: "c", Major: 1, Minor: 5}, // zero by another name
	}
	b.caps("CAP_DAC_OVERRIDE")
	b.prints("devices of the spec: made, and opened only as resources.devices allow", "/dev/deep/mem 640 3:3 1:1\n/dev/pipe 666 0:0 0:0\nclosed\n2")
}

func TestDevices_BoundWhereMknodIsRefused(t *testing.T) {
	if sandbox.CurrentMode() == sandbox.Root {
		sandbox.Need(t, sandbox.Feature{Name: "a user namespace", Fix: "run as an ordinary user", Has: func() error { return errors.New("this mode is root") }})
	}
	b := newBundle(t, `stat -c %t:%T /dev/full /dev/null`)
	b.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/full", Type: "c", Major: 1, Minor: 7}}
	b.prints("nodes of the machine", "1:7\n1:3")
	b = newBundle(t, "true")
	b.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/full", Type: "c", Major: 1, Minor: 11}}
	b.refused("a node of another number", "/dev/full", "another device")
}

// A /dev of the image's own, with a lie in it.
func TestDevices_NoTrustInTheImage(t *testing.T) {
	b := newBundle(t, "true")
	b.dropMount("/dev")
	b.Mounts = append([]specs.Mount{{Destination: "/dev/null", Type: "bind", Source: b.dir + "/lie", Options: []string{"bind"}}}, b.Mounts...)
	check.NoError(t, "prepare", errors.Join(os.MkdirAll(b.root+"/dev", 0o755), os.WriteFile(b.dir+"/lie", []byte("lie"), 0o666)))
	b.refused("/dev/null is a file (CVE-2025-31133)", "/dev/null")
	got, err := os.ReadFile(b.dir + "/lie")
	check.NoError(t, "read the file", err)
	check.Equal(t, "the file", "lie", string(got))

	volume := t.TempDir()
	check.NoError(t, "write a file", os.WriteFile(volume+"/null", nil, 0o666))
	b = newBundle(t, "true")
	b.dropMount("/dev")
	b.bind(volume, "/dev", "rbind")
	b.dropMount("/dev/pts")
	b.dropMount("/dev/shm")
	b.dropMount("/dev/mqueue")
	b.refused("a bound /dev whose null is a file: nothing is masked by it", "mask", "/dev/null")
}
