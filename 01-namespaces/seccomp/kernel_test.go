package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A test that installs a filter does it in the test binary executed again: the
// filter stays until the process ends, and does no harm to anything else.
func TestMain(m *testing.M) {
	if profile, ok := os.LookupEnv("SECCOMP_TEST_PROFILE"); ok {
		os.Unsetenv("SECCOMP_TEST_PROFILE")
		fmt.Fprintln(os.Stderr, become(profile, os.Args[1:]))
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// become installs the profile and executes argv, or makes the calls that "call"
// names: each number with its arguments, and prints what they return.
func become(profile string, argv []string) error {
	runtime.LockOSThread()
	p := new(specs.LinuxSeccomp)
	if err := json.Unmarshal([]byte(profile), p); err != nil {
		return err
	}
	code, err := Compile(p)
	if err != nil {
		return err
	}
	flags, err := Flags(p)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return fmt.Errorf("install: %w", e)
	}
	if argv[0] != "call" {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			return err
		}
		return unix.Exec(path, argv, os.Environ())
	}
	for _, a := range argv[1:] {
		var n [4]uintptr
		fmt.Sscan(a, &n[0], &n[1], &n[2], &n[3])
		_, _, e := unix.RawSyscall(n[0], n[1], n[2], n[3])
		fmt.Print(unix.ErrnoName(e), " ")
	}
	os.Exit(0)
	return nil
}

// under runs a command, or the calls, under the profile.
func under(t *testing.T, p *specs.LinuxSeccomp, argv ...string) (string, *os.ProcessState) {
	t.Helper()
	profile, err := json.Marshal(p)
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe", argv...)
	cmd.Env = append(os.Environ(), "SECCOMP_TEST_PROFILE="+string(profile))
	out, _ := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), cmd.ProcessState
}

// nr words a call for become.
func nr(name string, args ...uint64) string {
	n, ok := Number(name)
	if !ok {
		panic(name)
	}
	words := fmt.Sprint(n)
	for _, a := range append(args, 0, 0, 0)[:3] {
		words += fmt.Sprint(" ", a)
	}
	return words
}

func TestKernel_DefaultLetsProgramsRun(t *testing.T) {
	for _, c := range []struct{ want, command string }{
		{"3", "echo a b c | wc -w"},
		{"hello", "sh -c '(sleep 0 & wait); echo hello'"},
		{"apt", "apt-get --version | head -c 3"},
		{"go version", "go version | head -c 10"},
		{"1", "python3 -c 'import threading as t; x=[]; h=t.Thread(target=lambda: x.append(1)); h.start(); h.join(); print(*x)'"},
		{"ok", "setarch --list >/dev/null && setarch $(uname -m) echo ok"},
	} {
		program := strings.Fields(c.command)[0]
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("no %s here", program)
			continue
		}
		out, state := under(t, Default(), "sh", "-c", c.command)
		require.Equal(t, c.want, out, "%s: %v", c.command, state)
	}
}

func TestKernel_DefaultDenies(t *testing.T) {
	for want, calls := range map[string][]string{
		"EPERM": {nr("mount"), nr("keyctl"), nr("bpf"), nr("kexec_load"), nr("open_by_handle_at"), nr("userfaultfd"),
			nr("unshare", unix.CLONE_NEWUSER), nr("setns"), nr("clone", unix.CLONE_NEWUSER), nr("personality", 0x40000),
			nr("socket", unix.AF_VSOCK, unix.SOCK_STREAM), nr("socket", 1<<32+unix.AF_VSOCK, unix.SOCK_STREAM), nr("init_module")},
		"ENOSYS": {nr("clone3"), "5000 0 0 0"},
	} {
		for _, c := range calls {
			out, state := under(t, Default(), "call", c)
			require.Equal(t, want, out, "%s: %v", c, state)
		}
	}
}

func TestKernel_Actions(t *testing.T) {
	errno := uint(unix.EXDEV)
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   string
	}{
		{specs.ActErrno, nil, "EPERM"},
		{specs.ActErrno, &errno, "EXDEV"},
		{specs.ActTrace, nil, "ENOSYS"}, // nobody traces
		{specs.ActLog, nil, ""},
		{specs.ActKillProcess, nil, "bad system call"},
	} {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC"},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"}, Action: c.action, ErrnoRet: c.errno}}}
		out, state := under(t, p, "call", nr("getppid"))
		if state.ExitCode() < 0 {
			out = strings.TrimPrefix(strings.TrimSuffix(state.String(), " (core dumped)"), "signal: ")
		}
		require.Equal(t, c.want, out, "%s: %v", c.action, state)
	}
}

// The two halves of an argument, on a call that ignores it.
func TestKernel_ArgumentsHave64Bits(t *testing.T) {
	rule := func(op specs.LinuxSeccompOperator, value, two uint64) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"},
			Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 1, Op: op, Value: value, ValueTwo: two}}}}}
	}
	const high = 1 << 40
	for _, c := range []struct {
		p    *specs.LinuxSeccomp
		arg  uint64
		want string
	}{
		{rule(specs.OpEqualTo, high+7, 0), high + 7, "EPERM"},
		{rule(specs.OpEqualTo, high+7, 0), 7, ""},
		{rule(specs.OpMaskedEqual, high, high), high + 7, "EPERM"},
		{rule(specs.OpMaskedEqual, high, high), 7, ""},
		{rule(specs.OpGreaterThan, 7, 0), high, "EPERM"},
		{rule(specs.OpGreaterThan, high, 0), 7, ""},
		{rule(specs.OpLessThan, high, 0), high - 1, "EPERM"},
	} {
		out, _ := under(t, c.p, "call", nr("getppid", 0, c.arg))
		require.Equal(t, c.want, out, "%+v %#x", c.p.Syscalls[0].Args, c.arg)
	}
}

func TestKernel_X32IsAnotherArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("x32 is an ABI of x86_64")
	}
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	out, state := under(t, p, "call", fmt.Sprint(x32+39, " 0 0 0"))
	require.Contains(t, state.String(), "bad system call", out)
	p.Architectures = []specs.Arch{specs.ArchX32}
	out, _ = under(t, p, "call", fmt.Sprint(x32+39, " 0 0 0"))
	require.Contains(t, []string{"", "ENOSYS"}, out) // ENOSYS: a kernel without x32
}
