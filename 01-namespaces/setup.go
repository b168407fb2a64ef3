package namespaces

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// setup makes of this process what the spec asks for, between reading the spec
// and execve. It calls an exercise only if the spec asks for its part, so that
// one may be tried while the others are unwritten.
//
// The order is forced: what needs capabilities comes before they are given up,
// what needs the caller's files before the root moves, and a mount below the
// new root before a mask on it.
//
// Every call acts on this thread, which is the one that executes the program.
func setup(spec *Spec) error {
	runtime.LockOSThread()
	// From here on nothing but stdio passes execve; childAttr has seen to what is inherited.
	if err := unix.CloseRange(consoleFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	steps := []struct {
		asked bool
		do    func() error
	}{
		{spec.New(UserNS) && len(spec.UIDMap) > 0, becomeRoot},
		{spec.joins(), func() error { return join(spec) }},
		{true, newSession},
		{spec.Hostname != "", func() error { return hostname(spec.Hostname) }},
		{spec.New(Net), LoopbackUp},
		{spec.Root != nil, func() error { return newRoot(spec) }},
		{len(spec.MaskedPaths) > 0, func() error { return Mask(spec.MaskedPaths) }},
		{len(spec.ReadonlyPaths) > 0, func() error { return Readonly(spec.ReadonlyPaths) }},
		{spec.Terminal, func() error { return openTerminal(spec.User) }},
		{!spec.NoNewPrivs, func() error { return installFilters(spec) }}, // takes CAP_SYS_ADMIN then
		{spec.User != nil, func() error { return becomeUser(spec.User) }},
		{spec.Capabilities != nil, func() error { return SetCapabilities(*spec.Capabilities, spec.NoNewPrivs) }},
		{spec.Capabilities == nil && spec.NoNewPrivs, noNewPrivs},
		{true, dieWithParent},
		{spec.NoNewPrivs, func() error { return installFilters(spec) }}, // as late as can be: nothing above is filtered
	}
	for _, s := range steps {
		if !s.asked {
			continue
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

// childAttr is how the child is cloned. Ambient capabilities survive its first
// execve although its ids are not mapped until the parent has its PID: without
// them a second execve would be needed.
//
// What the caller's own caller left open is closed in the child from the start, not
// by its last execve only: by the descriptor of a folder, a path such as
// /proc/self/fd/9 leads out of the new root (CVE-2024-21626).
func childAttr(spec *Spec, flags uintptr) *syscall.SysProcAttr {
	unix.CloseRange(specFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // fails before Linux 5.11, and then setup says so
	attr := &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if spec.New(UserNS) {
		attr.AmbientCaps = AllCaps()
	}
	return attr
}

// AllCaps lists what the kernel knows. Whether it is in the bounding set here does
// not count, as in a container it may not be: a new user namespace has a full one.
func AllCaps() []uintptr {
	var caps []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil {
			caps = append(caps, c)
		}
	}
	return caps
}

// becomeRoot takes id 0 of the new user namespace: the process was executed
// before its ids were mapped and has none there yet.
func becomeRoot() error {
	if err := unix.Setresgid(0, 0, 0); err != nil {
		return fmt.Errorf("setresgid 0 in the new user namespace (does gidMap map 0?): %w", err)
	}
	// EPERM: setgroups was denied, as it must be where a user maps only itself.
	if err := unix.Setgroups(nil); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := unix.Setresuid(0, 0, 0); err != nil {
		return fmt.Errorf("setresuid 0 in the new user namespace (does uidMap map 0?): %w", err)
	}
	return nil
}

// newSession leaves the caller's session: its terminal's signals reach the
// caller, who forwards them, and not the program a second time.
func newSession() error {
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("setsid: %w", err)
	}
	return nil
}

func hostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("sethostname %q: %w", name, err)
	}
	return nil
}

// newRoot fills the new root with mounts and moves into it.
func newRoot(spec *Spec) error {
	// Whatever an exercise forgets, no mount made from here on reaches the caller.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := bindAll(spec); err != nil {
		return err
	}
	if spec.System {
		if err := MountSystem(spec.Root.Path); err != nil {
			return err
		}
	}
	return PivotRoot(spec.Root.Path, spec.Root.Readonly)
}

// becomeUser changes the ids and keeps the capabilities, which SetCapabilities
// is to reduce: a change from 0 to another id would clear them (capabilities(7)).
func becomeUser(u *User) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	groups := u.Groups
	// Where setgroups is denied there are no groups to lose.
	if err := unix.Setgroups(groups); err != nil && (len(groups) > 0 || !errors.Is(err, unix.EPERM)) {
		return fmt.Errorf("setgroups %v: %w", groups, err)
	}
	if err := unix.Setresgid(u.GID, u.GID, u.GID); err != nil {
		return fmt.Errorf("user: setresgid %d (is it mapped?): %w", u.GID, err)
	}
	if err := unix.Setresuid(u.UID, u.UID, u.UID); err != nil {
		return fmt.Errorf("user: setresuid %d (is it mapped?): %w", u.UID, err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		data[i].Effective = data[i].Permitted
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

func noNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

// dieWithParent asks again for SIGKILL when the parent dies, because a change of
// credentials clears it (prctl(2)), and then looks whether that came too late:
// a parent in another PID namespace is 0 to getppid, but a dead one no longer
// reads the error pipe.
func dieWithParent() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_PDEATHSIG: %w", err)
	}
	fds := []unix.PollFd{{Fd: errorFD, Events: unix.POLLOUT}}
	if _, err := unix.Poll(fds, 0); err == nil && fds[0].Revents&unix.POLLERR != 0 {
		return errors.New("the parent is gone")
	}
	return nil
}

// joins says whether the spec names a namespace that exists already.
func (s *Spec) joins() bool {
	return slices.ContainsFunc(s.Namespaces, func(ns Namespace) bool { return ns.Path != "" })
}

// LoopbackUp sets lo up: a new network namespace has one, but down.
func LoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
