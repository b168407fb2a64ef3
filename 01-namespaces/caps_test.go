package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// capSets is what /proc says of a thread's capabilities, bit by bit.
type capSets struct {
	Inh, Prm, Eff, Bnd, Amb uint64
	NoNewPrivs              int
}

// ownSets reads the sets of the calling thread.
func ownSets() (c capSets) {
	status, _ := os.ReadFile("/proc/thread-self/status")
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":\t")
		set := map[string]*uint64{"CapInh": &c.Inh, "CapPrm": &c.Prm, "CapEff": &c.Eff, "CapBnd": &c.Bnd, "CapAmb": &c.Amb}[name]
		if set != nil {
			*set, _ = strconv.ParseUint(value, 16, 64)
		}
		if name == "NoNewPrivs" {
			c.NoNewPrivs, _ = strconv.Atoi(value)
		}
	}
	return c
}

// capMask makes a set of names.
func capMask(names ...string) (m uint64) {
	for _, name := range names {
		n, ok := capNumber(name)
		if !ok {
			panic(name)
		}
		m |= 1 << n
	}
	return m
}

// capWords words a set by its names, or by their number if there are many.
func capWords(set uint64) string {
	var names []string
	for n, name := range capNames {
		if set&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	if len(names) > 8 {
		return fmt.Sprintf("%d capabilities", bits.OnesCount64(set))
	}
	return "{" + strings.Join(names, " ") + "}"
}

// A capsAsked is what a child does before it tells.
type capsAsked struct {
	Keep       []string
	NoNewPrivs bool
	Without    []string // given up before, from every set
	Ambient    []string // raised before
	Idle       []string // permitted and not effective
	NotRoot    bool     // user id 0 is nothing special to execve (capabilities(7), SECBIT_NOROOT)
}

type capsSaw struct {
	Before, After, Executed capSets
}

var ownSetsOf = reporting("ownsets", func([]string) (any, error) { return ownSets(), nil })

var capsIn = reporting("caps", func(args []string) (any, error) {
	var asked capsAsked
	if err := json.Unmarshal([]byte(args[0]), &asked); err != nil {
		return nil, err
	}
	if err := asked.prepare(); err != nil {
		return nil, err
	}
	saw := capsSaw{Before: ownSets()}
	err := SetCapabilities(asked.Keep, asked.NoNewPrivs)
	saw.After = ownSets()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "test:" + ownSetsOf
	out, runErr := cmd.Output()
	var r report[capSets]
	if runErr == nil {
		runErr = json.Unmarshal(out, &r)
	}
	if err == nil && runErr != nil {
		err = fmt.Errorf("execute a program: %w", runErr)
	}
	saw.Executed = r.Saw
	return saw, err
})

func (a capsAsked) prepare() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	without, ambient, idle := capMask(a.Without...), capMask(a.Ambient...), capMask(a.Idle...)
	for i := range data {
		data[i].Permitted &^= uint32(without >> (32 * i))
		data[i].Effective &^= uint32((without | idle) >> (32 * i))
		data[i].Inheritable = uint32(ambient >> (32 * i))
	}
	for n := range capNames {
		if without&(1<<n) != 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
				return err
			}
		}
	}
	if a.NotRoot {
		const noRoot = 1 << 0
		if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
			return err
		}
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return err
	}
	for n := range capNames {
		if ambient&(1<<n) != 0 {
			if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func capsWith(t *testing.T, asked capsAsked) (capsSaw, error) {
	t.Helper()
	arg, _ := json.Marshal(asked)
	return reportAs[capsSaw](t, capsIn, &syscall.SysProcAttr{}, string(arg))
}

const (
	otherThread  = "the work is done on another thread, and capabilities belong to threads"
	boundingKept = "the bounding set stays full, from which the next execve of root fills the others"
	tooLate      = "the bounding set is dropped when CAP_SETPCAP is gone already"
	lowerHalf    = "only the lower half, capabilities 0 to 31, is written"
	ambientKept  = "the ambient set is left, and it survives every execve"
	notHeld      = "capset is asked for a capability that the caller does not have"
	skipsNames   = "a name that is no capability is passed over"
	halfDone     = "names are looked up while the sets are being changed"
	alwaysNNP    = "no_new_privs is set whether it was asked for or not"
	neverNNP     = "no_new_privs is not set"
	effOnly      = "only the effective set is reduced, and a thread may raise it again from permitted"
	narrowed     = "effective is only narrowed, and what is permitted but idle stays so"
	inhKept      = "the inheritable set is left, and a file that has it too gives it back"
	unchecked    = "what the kernel answers to a drop is not looked at"
)

func TestSetCapabilities_Names(t *testing.T) {
	exercise.Need(t, "1.8")
	sandbox.Need(t)
	saw, err := capsWith(t, capsAsked{Keep: []string{"CAP_CHOWN", "CAP_CHWON"}, NoNewPrivs: true})
	check.ErrorHas(t, `SetCapabilities(CAP_CHOWN, CAP_CHWON)`, err, []string{"CAP_CHWON"}, check.Often(err == nil, skipsNames))
	check.Equal(t, "the sets after this error", saw.Before, saw.After, check.Often(true, halfDone))
	_, err = capsWith(t, capsAsked{Keep: []string{"CAP_CHOWN", "CAP_KILL"}})
	check.NoError(t, `SetCapabilities(CAP_CHOWN, CAP_KILL)`, err, check.Often(errors.Is(err, unix.EPERM), tooLate))
}

func TestSetCapabilities_Sets(t *testing.T) {
	exercise.Need(t, "1.8")
	sandbox.Need(t)
	keep := []string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM"}
	saw, err := capsWith(t, capsAsked{Keep: keep, Ambient: []string{"CAP_CHOWN", "CAP_NET_RAW", "CAP_AUDIT_READ"}, Idle: []string{"CAP_CHOWN"}})
	did := "SetCapabilities(" + strings.Join(keep, ", ") + ")"
	check.NoError(t, did, err, check.Often(errors.Is(err, unix.EPERM), tooLate))
	after, before, want := saw.After, saw.Before, capMask(keep...)
	same := check.Often(after == before, otherThread)
	check.Equal(t, "the bounding set after "+did, capWords(want&before.Bnd), capWords(after.Bnd), same, check.Often(after.Bnd == before.Bnd, boundingKept))
	upper := func(got uint64) check.Cause {
		return check.Often(uint32(got) == uint32(want) && got>>32 != want>>32, lowerHalf)
	}
	check.Equal(t, "the permitted set after "+did, capWords(want&before.Prm), capWords(after.Prm), upper(after.Prm),
		check.Often(after.Prm == before.Prm, effOnly))
	check.Equal(t, "the effective set after "+did, capWords(want&before.Prm), capWords(after.Eff), upper(after.Eff),
		check.Often(after.Eff == want&before.Eff, narrowed))
	check.Equal(t, "the ambient set after "+did, capWords(0), capWords(after.Amb), check.Often(true, ambientKept))
	check.Equal(t, "the inheritable set after "+did, capWords(0), capWords(after.Inh), check.Often(after.Inh == before.Inh, inhKept))
}

func TestSetCapabilities_Execve(t *testing.T) {
	exercise.Need(t, "1.8")
	sandbox.Need(t)
	keep := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SYSLOG"}
	saw, err := capsWith(t, capsAsked{Keep: keep})
	check.NoError(t, "SetCapabilities(CAP_CHOWN, CAP_KILL, CAP_SYSLOG)", err)
	check.Equal(t, "what root has after an execve", capWords(capMask(keep...)&saw.Before.Prm), capWords(saw.Executed.Eff),
		check.Often(saw.After == saw.Before, otherThread), check.Often(saw.After.Bnd == saw.Before.Bnd, boundingKept))
	saw, err = capsWith(t, capsAsked{Keep: keep, Ambient: []string{"CAP_CHOWN", "CAP_NET_RAW"}, NotRoot: true})
	check.NoError(t, "SetCapabilities(CAP_CHOWN, CAP_KILL, CAP_SYSLOG) in a thread to which execve gives nothing", err)
	check.Equal(t, "what a user without root's rights has after an execve", capWords(0), capWords(saw.Executed.Eff),
		check.Often(saw.After.Amb != 0, ambientKept))
}

// Nobody has them all: this machine, a container or a rootless caller may lack any.
func TestSetCapabilities_NotHeld(t *testing.T) {
	exercise.Need(t, "1.8")
	sandbox.Need(t)
	keep := []string{"CAP_NET_RAW", "CAP_CHOWN", "CAP_SETPCAP", "CAP_SYS_MODULE"}
	saw, err := capsWith(t, capsAsked{Keep: keep, Without: []string{"CAP_NET_RAW"}})
	check.NoError(t, "SetCapabilities(CAP_CHOWN, CAP_NET_RAW, …) without having CAP_NET_RAW", err,
		check.Often(errors.Is(err, unix.EPERM), notHeld))
	check.Equal(t, "the permitted set", capWords(capMask(keep...)&saw.Before.Prm), capWords(saw.After.Prm))
	check.Equal(t, "the effective set", capWords(capMask(keep...)&saw.Before.Prm), capWords(saw.After.Eff))
	drops := saw.After.Bnd != saw.Before.Bnd
	_, err = capsWith(t, capsAsked{Keep: []string{"CAP_CHOWN"}, Without: []string{"CAP_SETPCAP"}})
	check.ErrorHas(t, "SetCapabilities(CAP_CHOWN) without having CAP_SETPCAP", err, []string{"bounding"},
		check.Often(err == nil && drops, unchecked))
}

func TestSetCapabilities_NoNewPrivs(t *testing.T) {
	exercise.Need(t, "1.8")
	sandbox.Need(t, sandbox.GainsPrivileges)
	for _, ask := range []bool{false, true} {
		saw, err := capsWith(t, capsAsked{NoNewPrivs: ask})
		did := fmt.Sprintf("SetCapabilities(nothing, %v)", ask)
		check.NoError(t, did, err)
		want := map[bool]int{true: 1}[ask]
		check.Equal(t, "NoNewPrivs after "+did, want, saw.After.NoNewPrivs, check.Often(saw.Before.Bnd == saw.After.Bnd, otherThread),
			check.Often(!ask, alwaysNNP), check.Often(ask, neverNNP))
		check.Equal(t, "NoNewPrivs after an execve", want, saw.Executed.NoNewPrivs)
		check.Equal(t, "the permitted set after "+did, capWords(0), capWords(saw.After.Prm))
	}
}
