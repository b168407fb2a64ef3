package namespaces

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"coracle/01-namespaces/seccomp"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

const (
	swapped      = "the two offsets of a jump are exchanged or missing"
	mixedUp      = "the number is compared with the architecture: each is loaded, from its own offset"
	noErrno      = "the verdict bears no errno, so that the call seems to have worked"
	noArch       = "the architecture is not looked at, and the same number is another call there"
	x32Passes    = "x32 calls bear the same architecture and are let through by their other numbers"
	x32Anywhere  = "the x32 bit is looked at on every architecture, and means nothing on others"
	threadOnly   = "only the thread is ended, and the others of the process wait for it forever"
	shortJumps   = "a jump to one return for all is cut to 8 bits"
	tooLong      = "a filter that the kernel cannot take is made all the same"
	elsewhere    = "it is installed on another thread, and a filter belongs to a thread"
	setsItself   = "no_new_privs is set on the way, which the caller did not ask for"
	noFlags      = "the flags are not handed to the kernel"
	threadSilent = "with TSYNC the kernel refuses by a thread's id and no errno, and nothing is in force"
	emptyProgram = "an empty filter is not expected, and has no first instruction to point to"
)

// decideFilter runs a filter in golang.org/x/net/bpf's machine, whose words are big-endian.
func decideFilter(program []unix.SockFilter, arch, nr uint32) (uint32, error) {
	var raw []bpf.RawInstruction
	for _, i := range program {
		raw = append(raw, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	instructions, ok := bpf.Disassemble(raw)
	if !ok {
		return 0, errors.New("it holds an instruction that BPF does not have")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		return 0, err
	}
	data := binary.BigEndian.AppendUint32(nil, nr)
	data = binary.BigEndian.AppendUint32(data, arch)
	verdict, err := vm.Run(append(data, make([]byte, 56)...))
	return uint32(verdict), err
}

// verdictName words a verdict as seccomp(2) does.
func verdictName(v uint32) string {
	data := v & unix.SECCOMP_RET_DATA
	switch v &^ unix.SECCOMP_RET_DATA {
	case unix.SECCOMP_RET_ALLOW:
		return "ALLOW"
	case unix.SECCOMP_RET_ERRNO:
		return "ERRNO " + unix.ErrnoName(syscall.Errno(data))
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "KILL_PROCESS"
	case unix.SECCOMP_RET_KILL_THREAD:
		return "KILL_THREAD"
	}
	return fmt.Sprintf("%#x", v)
}

// verdictOf words what the filter decides on one call.
func verdictOf(program []unix.SockFilter, arch, nr uint32) string {
	v, err := decideFilter(program, arch, nr)
	if err != nil {
		return "a program that does not run: " + err.Error()
	}
	return verdictName(v)
}

func wantVerdict(t *testing.T, program []unix.SockFilter, arch, nr uint32, want string, causes func(got string) []check.Cause) {
	t.Helper()
	if got := verdictOf(program, arch, nr); got != want {
		check.Equal(t, fmt.Sprintf("the verdict on call %d", nr), want, got, causes(got)...)
	}
}

func TestFilter_Decides(t *testing.T) {
	exercise.Need(t, "1.9")
	deny := []uint32{40, 165, 166}
	program, err := Filter(unix.AUDIT_ARCH_X86_64, deny, syscall.EXDEV)
	check.NoError(t, "Filter(x86_64, 40 165 166, EXDEV)", err)
	for nr := range uint32(400) {
		want := "ALLOW"
		if slices.Contains(deny, nr) {
			want = "ERRNO EXDEV"
		}
		wantVerdict(t, program, unix.AUDIT_ARCH_X86_64, nr, want, func(got string) []check.Cause {
			killed := strings.HasPrefix(got, "KILL")
			foreign, x32 := verdictOf(program, unix.AUDIT_ARCH_I386, nr), verdictOf(program, unix.AUDIT_ARCH_X86_64, nr+x32Bit)
			return []check.Cause{
				check.Often(got == "ERRNO ", noErrno),
				check.Often(killed && foreign == got && x32 == got, mixedUp),
				check.Often(killed || got == "ERRNO EXDEV", swapped),
			}
		})
	}
	program, err = Filter(unix.AUDIT_ARCH_X86_64, nil, syscall.EPERM)
	check.NoError(t, "Filter(x86_64, nothing, EPERM)", err)
	wantVerdict(t, program, unix.AUDIT_ARCH_X86_64, 1, "ALLOW", func(string) []check.Cause { return nil })
}

func TestFilter_Architecture(t *testing.T) {
	exercise.Need(t, "1.9")
	program, err := Filter(unix.AUDIT_ARCH_X86_64, []uint32{165}, syscall.EPERM)
	causes := func(is string) func(string) []check.Cause {
		ownWorks := verdictOf(program, unix.AUDIT_ARCH_X86_64, 1) == "ALLOW"
		return func(got string) []check.Cause {
			return []check.Cause{check.Often(got == "KILL_THREAD", threadOnly), check.Often(ownWorks, is)}
		}
	}
	check.NoError(t, "Filter(x86_64, 165, EPERM)", err)
	for _, nr := range []uint32{21, 165, 0} {
		wantVerdict(t, program, unix.AUDIT_ARCH_I386, nr, "KILL_PROCESS", causes(noArch))
	}
	for _, nr := range []uint32{165, 0, 520} {
		wantVerdict(t, program, unix.AUDIT_ARCH_X86_64, nr+x32Bit, "KILL_PROCESS", causes(x32Passes))
	}
	program, err = Filter(unix.AUDIT_ARCH_AARCH64, []uint32{40}, syscall.EPERM)
	check.NoError(t, "Filter(aarch64, 40, EPERM)", err)
	none := func(string) []check.Cause { return nil }
	wantVerdict(t, program, unix.AUDIT_ARCH_AARCH64, 40, "ERRNO EPERM", none)
	wantVerdict(t, program, unix.AUDIT_ARCH_AARCH64, 41, "ALLOW", none)
	wantVerdict(t, program, unix.AUDIT_ARCH_AARCH64, 41+x32Bit, "ALLOW", func(string) []check.Cause {
		return []check.Cause{check.Often(true, x32Anywhere)}
	})
	wantVerdict(t, program, unix.AUDIT_ARCH_X86_64, 41, "KILL_PROCESS", none)
}

func TestFilter_ManyCalls(t *testing.T) {
	exercise.Need(t, "1.9")
	var deny []uint32
	for nr := range uint32(600) {
		if nr%2 == 1 {
			deny = append(deny, nr)
		}
	}
	few, err := Filter(unix.AUDIT_ARCH_X86_64, deny[:5], syscall.EPERM)
	check.NoError(t, "Filter with 5 calls", err)
	denies, _ := decideFilter(few, unix.AUDIT_ARCH_X86_64, 1)
	allows, _ := decideFilter(few, unix.AUDIT_ARCH_X86_64, 2)
	fewWork := verdictName(denies) == "ERRNO EPERM" && verdictName(allows) == "ALLOW"
	program, err := Filter(unix.AUDIT_ARCH_X86_64, deny, syscall.EPERM)
	check.NoError(t, "Filter with 300 calls", err)
	for nr := range uint32(700) {
		want := map[bool]string{true: "ERRNO EPERM", false: "ALLOW"}[nr%2 == 1 && nr < 600]
		wantVerdict(t, program, unix.AUDIT_ARCH_X86_64, nr, want, func(string) []check.Cause {
			return []check.Cause{check.Often(fewWork, shortJumps)}
		})
	}
	program, err = Filter(unix.AUDIT_ARCH_X86_64, make([]uint32, 5000), syscall.EPERM)
	check.True(t, "Filter with 5000 calls", err != nil, fmt.Sprintf("%d instructions", len(program)), "an error",
		check.Often(err == nil, tooLong))
	check.ErrorHas(t, "Filter with 5000 calls", err, []string{"4096"})
}

// A filterAsked is what a child installs and then tries.
type filterAsked struct {
	NoNewPrivs, Admin, Empty bool
	Apart                    bool // another thread has a filter of its own
	Flags                    uintptr
}

type filterSaw struct {
	Mine, Other string // Seccomp in /proc of this thread and of another
	NoNewPrivs  int
	Denied      string // errno of a call that is denied
	Allowed     string // errno of one that is not
	Executed    string // errno of the denied call in a program executed later
}

// The call that is denied: nothing else needs it.
var deniedCall, _ = seccomp.Number("getppid")

var tryDenied = reporting("trydenied", func([]string) (any, error) { return errnoOf(deniedCall), nil })

func errnoOf(nr uint32) string {
	_, _, errno := unix.RawSyscall(uintptr(nr), 0, 0, 0)
	return unix.ErrnoName(errno)
}

var filterIn = reporting("filter", func(args []string) (saw any, err error) {
	var asked filterAsked
	if err := json.Unmarshal([]byte(args[0]), &asked); err != nil {
		return nil, err
	}
	if !asked.Admin {
		if err := dropAdmin(); err != nil {
			return nil, err
		}
	}
	if asked.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return nil, err
		}
	}
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	program, err := Filter(arch, []uint32{deniedCall}, syscall.EXDEV)
	if err != nil {
		return nil, err
	}
	if asked.Empty {
		program = nil
	}
	if asked.Apart {
		if err := installApart(program); err != nil {
			return nil, err
		}
	}
	err = installCaught(program, asked.Flags)
	s := filterSaw{NoNewPrivs: ownSets().NoNewPrivs, Denied: errnoOf(deniedCall), Allowed: errnoOf(unix.SYS_GETPID)}
	s.Mine, s.Other = seccompModes()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "test:" + tryDenied
	out, runErr := cmd.Output()
	var r report[string]
	if runErr == nil {
		runErr = json.Unmarshal(out, &r)
	}
	s.Executed = r.Saw
	return s, errors.Join(err, runErr)
})

// installCaught makes an error of a panic.
func installCaught(program []unix.SockFilter, flags uintptr) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return InstallFilter(program, flags)
}

// installApart gives a filter to another thread, which goes on to exist.
func installApart(program []unix.SockFilter) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), installCaught(program, 0))
		select {}
	}()
	return <-done
}

// seccompModes reads the mode of this thread and that of another thread of the
// process: a Go program always has one.
func seccompModes() (mine, other string) {
	tasks, _ := filepath.Glob("/proc/self/task/*/status")
	for _, task := range tasks {
		status, _ := os.ReadFile(task)
		_, mode, _ := strings.Cut(string(status), "\nSeccomp:\t")
		mode, _, _ = strings.Cut(mode, "\n")
		if task == fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid()) {
			mine = mode
		} else if other == "" || mode != "0" {
			other = mode
		}
	}
	return mine, other
}

func filterWith(t *testing.T, asked filterAsked) (filterSaw, error) {
	t.Helper()
	arg, _ := json.Marshal(asked)
	return reportAs[filterSaw](t, filterIn, &syscall.SysProcAttr{}, string(arg))
}

func TestInstallFilter_Kernel(t *testing.T) {
	exercise.Need(t, "1.9")
	sandbox.Need(t)
	saw, err := filterWith(t, filterAsked{NoNewPrivs: true})
	check.NoError(t, "InstallFilter with no_new_privs", err)
	check.Equal(t, "Seccomp of the calling thread (2: a filter)", "2", saw.Mine, check.Often(saw.Other == "2", elsewhere))
	check.Equal(t, "the errno of a call that is denied", "EXDEV", saw.Denied)
	check.Equal(t, "the errno of a call that is not", "", saw.Allowed)
	check.Equal(t, "the errno of the denied call in a program executed later", "EXDEV", saw.Executed)
	check.Equal(t, "Seccomp of another thread", "0", saw.Other)
	saw, err = filterWith(t, filterAsked{NoNewPrivs: true, Flags: unix.SECCOMP_FILTER_FLAG_TSYNC})
	check.NoError(t, "InstallFilter with SECCOMP_FILTER_FLAG_TSYNC", err)
	check.Equal(t, "Seccomp of another thread", "2", saw.Other, check.Often(true, noFlags))
}

func TestInstallFilter_Errors(t *testing.T) {
	exercise.Need(t, "1.9")
	sandbox.Need(t, sandbox.GainsPrivileges)
	saw, err := filterWith(t, filterAsked{})
	did := "InstallFilter with neither no_new_privs nor CAP_SYS_ADMIN"
	check.ErrorIs(t, did, err, unix.EACCES, check.Often(saw.NoNewPrivs == 1, setsItself))
	check.ErrorHas(t, did, err, []string{"no_new_privs"})
	saw, err = filterWith(t, filterAsked{Admin: true})
	check.NoError(t, "InstallFilter with CAP_SYS_ADMIN", err)
	check.Equal(t, "no_new_privs of the thread", 0, saw.NoNewPrivs, check.Often(true, setsItself))
	_, err = filterWith(t, filterAsked{NoNewPrivs: true, Flags: 1 << 30})
	check.ErrorIs(t, "InstallFilter with a flag that there is not", err, unix.EINVAL, check.Often(err == nil, noFlags))
	_, err = filterWith(t, filterAsked{NoNewPrivs: true, Apart: true, Flags: unix.SECCOMP_FILTER_FLAG_TSYNC})
	check.ErrorHas(t, "InstallFilter with SECCOMP_FILTER_FLAG_TSYNC where another thread has its own filter", err,
		[]string{"thread"}, check.Often(err == nil, threadSilent))
	_, err = filterWith(t, filterAsked{NoNewPrivs: true, Empty: true})
	check.ErrorHas(t, "InstallFilter without any instruction", err, []string{"empty"},
		check.Often(err != nil && strings.Contains(err.Error(), "panic"), emptyProgram))
}
