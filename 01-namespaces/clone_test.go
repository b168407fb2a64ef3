package namespaces

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// flagOf is what linux/sched.h says.
var flagOf = map[Type]uintptr{
	Cgroup: 0x02000000, IPC: 0x08000000, Mnt: 0x00020000, Net: 0x40000000,
	PID: 0x20000000, UserNS: 0x10000000, UTS: 0x04000000,
}

var joinedTime = Namespace{Type: Time, Path: "/proc/7/ns/time"}

func flagsOf(t *testing.T, list ...Namespace) uintptr {
	t.Helper()
	got, err := CloneFlags(&Spec{Namespaces: list})
	check.NoError(t, call(list), err,
		check.Often(list != nil && list[0] == joinedTime, "a time namespace is refused although it is only to be joined"))
	return got
}

func call(list []Namespace) string {
	var args []string
	for _, ns := range list {
		arg := string(ns.Type)
		if ns.Path != "" {
			arg += ": " + ns.Path
		}
		args = append(args, arg)
	}
	return "CloneFlags(" + strings.Join(args, ", ") + ")"
}

func TestCloneFlags_OneEach(t *testing.T) {
	exercise.Need(t, "1.1")
	for _, kind := range []Type{UTS, PID, Net, IPC, Cgroup, Mnt, UserNS} {
		check.Equal(t, fmt.Sprintf("CloneFlags(%s)", kind), flagOf[kind], flagsOf(t, Namespace{Type: kind}))
	}
	check.Equal(t, "CloneFlags()", uintptr(0), flagsOf(t))
}

func TestCloneFlags_Together(t *testing.T) {
	exercise.Need(t, "1.1")
	list := []Namespace{{Type: PID}, {Type: UTS}}
	got := flagsOf(t, list...)
	check.Equal(t, call(list), uintptr(0x24000000), got,
		check.Often(got == flagOf[UTS], "only the last namespace is kept"))
}

func TestCloneFlags_JoinedIsNotNew(t *testing.T) {
	exercise.Need(t, "1.1")
	list := []Namespace{{Type: UTS}, {Type: Net, Path: "/proc/7/ns/net"}}
	got := flagsOf(t, list...)
	check.Equal(t, call(list), uintptr(0x04000000), got,
		check.Often(got&flagOf[Net] != 0, "a namespace to join gets a new one as well"))
	list = []Namespace{joinedTime}
	check.Equal(t, call(list), uintptr(0), flagsOf(t, list...))
}

func TestCloneFlags_Refuses(t *testing.T) {
	exercise.Need(t, "1.1")
	for _, bad := range []Namespace{{Type: "network"}, {Type: "network", Path: "/proc/7/ns/net"}} {
		list := []Namespace{{Type: UTS}, bad}
		_, err := CloneFlags(&Spec{Namespaces: list})
		check.ErrorHas(t, call(list), err, []string{"network"},
			check.Often(err == nil, "a kind that is not known is left out in silence"))
	}
	list := []Namespace{{Type: Time}}
	got, err := CloneFlags(&Spec{Namespaces: list})
	check.ErrorHas(t, call(list), err, []string{"time"},
		check.Often(got == 0x80, "CLONE_NEWTIME is given to clone, which reads it as part of the exit signal"))
}

func TestCloneFlags_Kernel(t *testing.T) {
	exercise.Need(t, "1.1")
	sandbox.Need(t)
	flags := flagsOf(t, Namespace{Type: UTS}, Namespace{Type: IPC}, Namespace{Type: Net, Path: "/proc/self/ns/net"})
	child := exec.Command("cat") // it waits for input that ends with the test
	stdin, err := child.StdinPipe()
	check.NoError(t, "make a pipe", err)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	check.NoError(t, "start a child with the flags", child.Start())
	defer child.Wait()
	defer stdin.Close()
	for _, kind := range []string{"uts", "ipc", "net", "mnt"} {
		isNew := kind == "uts" || kind == "ipc"
		mine, err := os.Readlink("/proc/self/ns/" + kind)
		check.NoError(t, "read my namespace", err)
		its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", child.Process.Pid, kind))
		check.NoError(t, "read the child's namespace", err)
		check.Equal(t, "the child of clone(uts, ipc) is in another "+kind+" namespace than I", isNew, mine != its,
			check.Often(kind == "uts" && flags == flagOf[IPC], "only the last namespace is kept"),
			check.Often(kind == "net", "a namespace to join gets a new one as well"))
	}
}
