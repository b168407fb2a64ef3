package seccomp

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// verdicts are the actions of the runtime-spec as return values of a filter.
var verdicts = [...]struct {
	action specs.LinuxSeccompAction
	ret    uint32
	data   bool // has an errno
	allows bool
}{
	{specs.ActAllow, unix.SECCOMP_RET_ALLOW, false, true},
	{specs.ActLog, unix.SECCOMP_RET_LOG, false, true},
	{specs.ActTrace, unix.SECCOMP_RET_TRACE, true, true},
	{specs.ActErrno, unix.SECCOMP_RET_ERRNO, true, false},
	{specs.ActTrap, unix.SECCOMP_RET_TRAP, false, false},
	{specs.ActKill, unix.SECCOMP_RET_KILL_THREAD, false, false},
	{specs.ActKillThread, unix.SECCOMP_RET_KILL_THREAD, false, false},
	{specs.ActKillProcess, unix.SECCOMP_RET_KILL_PROCESS, false, false},
}

// enosys is the verdict on calls that are newer than the profile.
const enosys = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)

// verdict returns what a filter returns for an action, and whether the call is
// made all the same.
func verdict(action specs.LinuxSeccompAction, errno *uint) (ret uint32, allows bool, err error) {
	if action == specs.ActNotify {
		return 0, false, fmt.Errorf("%s: no supervisor can be asked here", action)
	}
	for _, v := range verdicts {
		switch {
		case v.action != action:
		case errno == nil && v.data:
			return v.ret | uint32(unix.EPERM), v.allows, nil
		case errno == nil:
			return v.ret, v.allows, nil
		case !v.data:
			return 0, false, fmt.Errorf("%s has no errno, and the profile gives it %d", action, *errno)
		case *errno > 4095: // MAX_ERRNO of the kernel: a larger one would be cut
			return 0, false, fmt.Errorf("%s: errno %d is more than 4095", action, *errno)
		default:
			return v.ret | uint32(*errno), v.allows, nil
		}
	}
	return 0, false, fmt.Errorf("no action %q", action)
}

// flags are those that a container may set.
var flags = map[specs.LinuxSeccompFlag]uintptr{
	"SECCOMP_FILTER_FLAG_TSYNC":     unix.SECCOMP_FILTER_FLAG_TSYNC,
	specs.LinuxSeccompFlagLog:       unix.SECCOMP_FILTER_FLAG_LOG,
	specs.LinuxSeccompFlagSpecAllow: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
}

// Flags returns the profile's flags as those of SECCOMP_SET_MODE_FILTER.
func Flags(profile *specs.LinuxSeccomp) (uintptr, error) {
	var all uintptr
	for _, f := range profile.Flags {
		bit, ok := flags[f]
		if !ok {
			return 0, fmt.Errorf("seccomp: no flag %q", f)
		}
		all |= bit
	}
	return all, nil
}
