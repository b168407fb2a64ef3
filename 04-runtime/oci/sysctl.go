package oci

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ipcSysctls are the settings below kernel. that an IPC namespace has of its own
// (ipc_namespaces(7)); it also has all of fs.mqueue.
var ipcSysctls = []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
	"kernel.shmmni", "kernel.shm_rmid_forced", "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"}

// checkSysctls refuses a setting that is the whole machine's, or of a namespace that
// the container shares with the caller.
func checkSysctls(spec *specs.Spec) error {
	for _, key := range slices.Sorted(maps.Keys(spec.Linux.Sysctl)) {
		name := dotted(key)
		var needs specs.LinuxNamespaceType
		switch {
		case slices.ContainsFunc(strings.Split(sysctlPath(key), "/"), func(part string) bool { return part == "" || part == "." || part == ".." }):
			return fmt.Errorf("sysctl %s: that is no name of a setting", key)
		case strings.HasPrefix(name, "net."):
			needs = specs.NetworkNamespace
		case slices.Contains(ipcSysctls, name), strings.HasPrefix(name, "fs.mqueue."):
			needs = specs.IPCNamespace
		case name == "kernel.domainname":
			needs = specs.UTSNamespace
		case name == "kernel.hostname":
			return fmt.Errorf("sysctl %s: give the bundle's hostname instead", key)
		default:
			return fmt.Errorf("sysctl %s is a setting of the whole machine: set it outside", key)
		}
		if !has(spec, needs) {
			return fmt.Errorf("sysctl %s would change the machine's: add a %s namespace", key, needs)
		}
	}
	return nil
}

// sysctlPath is the file of a setting below /proc/sys. As for sysctl(8), the first
// separator tells which is meant: net/ipv4/conf/eth0.1/rp_filter has a dot in a name.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return key
	}
	// net.ipv4.conf.eth0/1.rp_filter: the other way round, a slash stands for a dot.
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

func dotted(key string) string { return strings.ReplaceAll(sysctlPath(key), "/", ".") }

// setSysctls writes the settings, in the new root and before its /proc/sys is made
// read-only. What is written is a file of procfs and was reached by no link: an image
// or another container could have laid something else there (CVE-2025-52881).
func setSysctls(values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sysctl: /proc: %w", err)
	}
	defer unix.Close(proc)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(proc, &fs); err != nil || fs.Type != unix.PROC_SUPER_MAGIC {
		return errors.Join(errors.New("sysctl: nothing mounts proc on /proc: add it to mounts"), err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		err := func() error {
			if dotted(key) == "kernel.domainname" { // its file is real root's, whoever owns the namespace
				return unix.Setdomainname([]byte(values[key]))
			}
			fd, err := unix.Openat2(proc, "sys/"+sysctlPath(key), &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CLOEXEC,
				Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			_, err = unix.Write(fd, []byte(values[key]))
			return err
		}()
		if err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", key, values[key], err)
		}
	}
	return nil
}
