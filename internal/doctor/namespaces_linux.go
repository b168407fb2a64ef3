package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/sandbox"
)

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// namespaces makes a process in new ones and lets it mount what the chapters mount.
func namespaces(ctx context.Context, probe []string) []Check {
	single, err := try(ctx, probe, unix.CLONE_NEWUSER, nil)
	if err != nil {
		if os.Geteuid() != 0 {
			return []Check{fail("user namespaces", userFix(err), []int{1, 2}, "a process in a new one: %v", err)}
		}
		return append([]Check{warn("user namespaces", userFix(err), "a process in a new one: %v; exercise 1.6 needs them", err)}, asRoot(ctx, probe)...)
	}
	checks := []Check{ok("user namespaces", "a process in new namespaces of every kind started")}
	if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" && single["private"] != "" {
		checks[0] = fail("user namespaces", appArmorFix, []int{1, 2}, "AppArmor takes all capabilities away in new ones (Ubuntu 23.10 and later): %s", single["private"])
		return checks
	}
	if os.Geteuid() == 0 { // the other modes are for everybody else
		return append(checks, asRoot(ctx, probe)...)
	}
	checks = append(checks, mounts(single)...)
	return append(checks, rangeMode(ctx, probe), ok("mode single", "works: one id; owners are kept in a user xattr, chown changes nothing, devpts has no group"))
}

const appArmorFix = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (for good: echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-coracle.conf)"

// userFix words what usually is behind a refused user namespace.
func userFix(err error) string {
	switch {
	case read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "sudo sysctl -w kernel.unprivileged_userns_clone=1"
	case read("/proc/sys/user/max_user_namespaces") == "0":
		return "sudo sysctl -w user.max_user_namespaces=15000"
	case read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return appArmorFix
	case errors.Is(err, unix.EINVAL):
		return "a kernel with CONFIG_USER_NS, or: ./lab vm test 1"
	case errors.Is(err, unix.ENOSPC):
		return "sudo sysctl -w user.max_user_namespaces=15000 (also net, pid and mnt)"
	case read("/proc/1/comm") != "systemd":
		return "in a container: --security-opt seccomp=unconfined --security-opt systempaths=unconfined, as .devcontainer does; or: ./lab vm test 1"
	}
	return "allow it in the security module in charge, or: ./lab vm test 1"
}

func asRoot(ctx context.Context, probe []string) []Check {
	root, err := try(ctx, probe, 0, nil)
	if err != nil {
		return []Check{fail("namespaces", "run outside the container, as an ordinary user, or: ./lab vm test 1", []int{1, 2}, "root, and yet: %v", err)}
	}
	return append([]Check{ok("mode root", "works: real root, no user namespace")}, mounts(root)...)
}

// mounts words what the probe could not do.
func mounts(failed map[string]string) []Check {
	fixes := []struct {
		key, name, fix, good string
		stops                []int
	}{
		{"private", "mounts", "in a container: --security-opt seccomp=unconfined --security-opt apparmor=unconfined", "made private, read-only and anew in a namespace", []int{1, 2}},
		{"readonly", "mounts", "a kernel of 5.12 or newer without a filter on mount_setattr", "", []int{1, 2}},
		{"tmpfs", "mounts", "in a container: --security-opt seccomp=unconfined --security-opt apparmor=unconfined", "", []int{1, 2}},
		{"proc", "proc", "it is masked, as in a container: --security-opt systempaths=unconfined (.devcontainer has it)", "a fresh /proc can be mounted", []int{1, 2}},
		{"sys", "sys", "it is masked, as in a container: --security-opt systempaths=unconfined", "a fresh /sys can be mounted", []int{1, 2}},
		{"overlay", "overlay", "a kernel of 5.11 or newer with overlay: sudo modprobe overlay (for chapter 3)", "can be mounted there, for chapter 3", nil},
	}
	var checks []Check
	bad := map[string]bool{}
	for _, f := range fixes {
		why := failed[f.key]
		switch {
		case why != "" && f.stops == nil:
			checks = append(checks, warn(f.name, f.fix, "%s", why))
		case why != "" && !bad[f.name]:
			bad[f.name] = true
			checks = append(checks, fail(f.name, f.fix, f.stops, "%s", why))
		case why == "" && f.good != "":
			checks = append(checks, ok(f.name, "%s", f.good))
		}
	}
	return checks
}

func rangeMode(ctx context.Context, probe []string) Check {
	const lacks = "without it the tests run with one id, and those about other owners are skipped"
	uids, gids, err := sandbox.SubRanges()
	if err != nil {
		what, fix, _ := strings.Cut(err.Error(), ": ")
		return warn("mode range", fix, "%s; %s", what, lacks)
	}
	_, err = try(ctx, probe, unix.CLONE_NEWUSER, func(pid int) error {
		for _, m := range []struct {
			tool         string
			id, from, to int
		}{{"newuidmap", os.Getuid(), uids.Start, uids.Count}, {"newgidmap", os.Getgid(), gids.Start, gids.Count}} {
			out, err := exec.Command(m.tool, strconv.Itoa(pid), "0", strconv.Itoa(m.id), "1", "1", strconv.Itoa(m.from), strconv.Itoa(m.to)).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %v %s", m.tool, err, bytes.TrimSpace(out))
			}
		}
		return nil
	})
	if err != nil {
		return warn("mode range", "sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap", "%v; %s", err, lacks)
	}
	return ok("mode range", "works: newuidmap gave %d ids from %d", uids.Count, uids.Start)
}

// try starts the probe in new namespaces, its ids mapped by this process or by
// maps, and returns what it could not do.
func try(ctx context.Context, probe []string, user uintptr, maps func(pid int) error) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, probe[0], probe[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: newNamespaces | user, Pdeathsig: syscall.SIGKILL}
	if user != 0 && maps == nil {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	gate, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, err
	}
	if maps != nil {
		err = maps(cmd.Process.Pid)
	}
	gate.Close()
	err = errors.Join(err, cmd.Wait())
	if err != nil {
		return nil, fmt.Errorf("%w %s", err, bytes.TrimSpace(out.Bytes()))
	}
	failed := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &failed); err != nil {
		return nil, fmt.Errorf("the probe said %q", out.String())
	}
	return failed, nil
}

func read(file string) string {
	b, _ := os.ReadFile(file)
	return strings.TrimSpace(string(b))
}
