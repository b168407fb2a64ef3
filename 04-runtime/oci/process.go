package oci

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// limitProcess sets what takes rights outside that the child may not have: its
// resource limits, and how soon the OOM killer chooses it.
func limitProcess(pid int, p *specs.Process) error {
	for _, r := range p.Rlimits {
		limit := unix.Rlimit{Cur: r.Soft, Max: r.Hard}
		if err := unix.Prlimit(pid, rlimits[r.Type], &limit, nil); errors.Is(err, unix.EPERM) {
			return fmt.Errorf("rlimit %s: a hard limit of %d is above this process's own, and raising it needs CAP_SYS_RESOURCE: %w", r.Type, r.Hard, err)
		} else if err != nil {
			return fmt.Errorf("rlimit %s: %w", r.Type, err)
		}
	}
	if p.OOMScoreAdj == nil {
		return nil
	}
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(*p.OOMScoreAdj)), 0)
	if rootless() && errors.Is(err, unix.EACCES) {
		slog.Warn(fmt.Sprintf("oomScoreAdj %d is not set: lowering it needs CAP_SYS_RESOURCE outside", *p.OOMScoreAdj))
		return nil
	}
	return wrap(fmt.Sprintf("oomScoreAdj %d", *p.OOMScoreAdj), err)
}

// compileSeccomp makes a filter of a profile, nil of nil.
func compileSeccomp(profile *specs.LinuxSeccomp) (*filter, error) {
	s := namespaces.Spec{Seccomp: profile}
	if err := s.CompileSeccomp(); err != nil {
		return nil, err
	}
	return s.Compiled, nil
}

// setupProcess gives the calling thread the rights of the program: the last steps that
// need more come first. Without no_new_privs a filter takes CAP_SYS_ADMIN to install.
func setupProcess(p *specs.Process, f *filter) error {
	if f != nil && !p.NoNewPrivileges {
		if err := f.Install(); err != nil {
			return err
		}
	}
	for _, r := range p.Rlimits {
		if r.Type == "RLIMIT_NOFILE" {
			// By syscall.Setrlimit, so that Go does not put back at execve what it raised at its start.
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: r.Soft, Max: r.Hard}); err != nil {
				return fmt.Errorf("rlimit %s: %w", r.Type, err)
			}
		}
	}
	if p.IOPriority != nil {
		prio := uintptr(ioClasses[p.IOPriority.Class]<<13 | p.IOPriority.Priority)
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1 /* IOPRIO_WHO_PROCESS */, 0, prio); errno != 0 {
			return fmt.Errorf("ioPriority %s %d: %w", p.IOPriority.Class, p.IOPriority.Priority, errno)
		}
	}
	if p.Scheduler != nil {
		if err := schedule(p.Scheduler); err != nil {
			return err
		}
	}
	if p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined" {
		if err := confine(p.ApparmorProfile); err != nil {
			return fmt.Errorf("apparmorProfile %s: %w", p.ApparmorProfile, err)
		}
	}
	mask := 0o022
	if p.User.Umask != nil {
		mask = int(*p.User.Umask)
	}
	unix.Umask(mask)
	sets := readSets(p.Capabilities)
	if err := dropBounding(sets.bounding); err != nil {
		return err
	}
	if err := becomeUser(p.User); err != nil {
		return err
	}
	if err := sets.apply(); err != nil {
		return err
	}
	if p.NoNewPrivileges {
		return wrap("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	}
	return nil
}

// lastFilter installs the filter as late as can be: what comes before is not filtered.
func lastFilter(p *specs.Process, f *filter) error {
	if f == nil || !p.NoNewPrivileges {
		return nil
	}
	return f.Install()
}

// becomeUser changes the ids and keeps the permitted capabilities, which are reduced
// next: a change from 0 to another id would clear them (capabilities(7)).
func becomeUser(u specs.User) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	groups := u.AdditionalGids
	// Where setgroups is denied (one id, mapped without privilege) there are none to lose.
	if err := setGroups(groups); err != nil && (len(groups) > 0 || !errors.Is(err, unix.EPERM)) {
		return fmt.Errorf("additionalGids %v (are they mapped?): %w", groups, err)
	}
	if err := setGID(u.GID); err != nil {
		return fmt.Errorf("user: setresgid %d (is it mapped?): %w", u.GID, err)
	}
	if err := setUID(u.UID); err != nil {
		return fmt.Errorf("user: setresuid %d (is it mapped?): %w", u.UID, err)
	}
	return nil
}

// capSets are the five sets of a thread as bits.
type capSets struct{ bounding, effective, inheritable, permitted, ambient uint64 }

// readSets reads names that checkInside has seen; none given means no capability.
func readSets(c *specs.LinuxCapabilities) (s capSets) {
	if c == nil {
		return s
	}
	known := namespaces.CapabilityNames()
	for _, set := range []struct {
		bits  *uint64
		names []string
	}{{&s.bounding, c.Bounding}, {&s.effective, c.Effective}, {&s.inheritable, c.Inheritable}, {&s.permitted, c.Permitted}, {&s.ambient, c.Ambient}} {
		for _, name := range set.names {
			if n := slices.Index(known, name); n >= 0 {
				*set.bits |= 1 << n
			}
		}
	}
	return s
}

// dropBounding comes before the user changes: it takes CAP_SETPCAP.
func dropBounding(keep uint64) error {
	for c := range 64 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break // EINVAL: this kernel has no more
		}
		if held == 1 && keep&(1<<c) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
			}
		}
	}
	return nil
}

// apply sets the other four, as far as they are held: what is not cannot be given,
// which checkInside has warned of.
func (s capSets) apply() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		half := func(bits uint64) uint32 { return uint32(bits >> (32 * i)) }
		held := data[i].Permitted
		data[i].Permitted = half(s.permitted) & held
		data[i].Effective = half(s.effective) & data[i].Permitted
		data[i].Inheritable = half(s.inheritable) & held & half(s.bounding)
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("set the permitted, effective and inheritable capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	for c := range 64 {
		both := data[c/32].Permitted & data[c/32].Inheritable
		if s.ambient&(1<<c) != 0 && both&(1<<(c%32)) != 0 {
			if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
				return fmt.Errorf("raise the ambient capability %d: %w", c, err)
			}
		}
	}
	return nil
}

var ioClasses = map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}

var policies = map[specs.LinuxSchedulerPolicy]uint32{specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2,
	specs.SchedBatch: 3, specs.SchedISO: 4, specs.SchedIdle: 5, specs.SchedDeadline: 6}

var policyFlags = map[specs.LinuxSchedulerFlag]uint64{specs.SchedFlagResetOnFork: 1, specs.SchedFlagReclaim: 2, specs.SchedFlagDLOverrun: 4,
	specs.SchedFlagKeepPolicy: 8, specs.SchedFlagKeepParams: 16, specs.SchedFlagUtilClampMin: 32, specs.SchedFlagUtilClampMax: 64}

func schedule(s *specs.Scheduler) error {
	attr := unix.SchedAttr{Policy: policies[s.Policy], Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	attr.Size = uint32(unsafe.Sizeof(attr))
	for _, f := range s.Flags {
		attr.Flags |= policyFlags[f]
	}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("scheduler %s: %w", s.Policy, err)
	}
	return nil
}

// confine asks AppArmor to confine the program from its execve on.
func confine(profile string) error {
	for _, file := range []string{"/proc/thread-self/attr/apparmor/exec", "/proc/thread-self/attr/exec"} {
		err := os.WriteFile(file, []byte("exec "+profile), 0)
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.New("the container's /proc shows no place to say so")
}
