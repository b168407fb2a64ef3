//go:build linux

package vm_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"coracle/internal/vm"
)

// guest are the things this test binary does when it is the program inside the machine.
var guest = map[string]func() error{
	"controllers": func() error {
		text, err := os.ReadFile("/sys/fs/cgroup/cgroup.subtree_control")
		fmt.Print(string(text))
		return err
	},
	"delegated": delegated,
	"pivot":     func() error { runtime.LockOSThread(); return pivot() },
	"overlay":   func() error { return inUserNamespace("overlay-inside") },
	// Copying up a directory that was removed and made again marks it opaque, in a user xattr.
	"overlay-inside": overlay,
	"nftables":       nftables,
	"links":          links,
	"orphan":         orphan,
	"echo":           func() error { _, err := io.Copy(os.Stdout, os.Stdin); return err },
	"terminal": func() error {
		size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Printf("%dx%d %s", size.Row, size.Col, line)
		return err
	},
	"hang": unix.Pause,
	// Not a guest but a caller that will be killed.
	"caller": func() error {
		self := vm.Config{DiskMB: 64, Programs: os.Args[:1], OnReady: func(vm.Boot) { fmt.Println("ready") }}
		_, err := vm.Run(context.Background(), self, nil, []vm.Command{{Args: []string{filepath.Base(os.Args[0])}, Env: []string{"VM_GUEST=hang"}}}, nil, nil)
		return err
	},
	"crash": func() error {
		return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	},
}

func delegated() error {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	group := filepath.Join("/sys/fs/cgroup", strings.TrimSpace(strings.TrimPrefix(string(text), "0::")))
	leaf, child := filepath.Join(group, "leaf"), filepath.Join(group, "child")
	return errors.Join(
		os.Mkdir(leaf, 0o755), os.Mkdir(child, 0o755),
		os.WriteFile(leaf+"/cgroup.procs", []byte("0"), 0),
		os.WriteFile(group+"/cgroup.subtree_control", []byte("+memory +pids +cpu"), 0),
		os.WriteFile(child+"/memory.max", []byte("16M"), 0),
		leave(),
	)
}

// leave starts a process that stays, for the machine to end.
func leave() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"VM_GUEST=hang"}
	cmd.Stdout = os.Stdout
	return cmd.Start()
}

func pivot() error {
	const dir = "/tmp/pivot"
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return errors.Join(
		os.Mkdir(dir, 0o755),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
		unix.Chdir(dir),
		unix.PivotRoot(".", "."),
		unix.Unmount(".", unix.MNT_DETACH),
	)
}

func inUserNamespace(what string) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"VM_GUEST=" + what}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	return cmd.Run()
}

func overlay() error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.MkdirAll(at("lower/d/old"), 0o755), os.Mkdir(at("upper"), 0o755), os.Mkdir(at("work"), 0o755), os.Mkdir(at("merged"), 0o755)); err != nil {
		return err
	}
	data := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s,workdir=%s", at("lower"), at("upper"), at("work"))
	if err := unix.Mount("overlay", at("merged"), "overlay", 0, data); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	if err := errors.Join(os.RemoveAll(at("merged/d")), os.Mkdir(at("merged/d"), 0o755)); err != nil {
		return err
	}
	value := make([]byte, 8)
	n, err := unix.Lgetxattr(at("upper/d"), "user.overlay.opaque", value)
	if err != nil {
		return fmt.Errorf("user.overlay.opaque of a directory made anew: %w", err)
	}
	fmt.Println("opaque", string(value[:n]))
	return nil
}

// nftables asks for the generation of the rule set, which only a loaded nf_tables answers.
func nftables() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const getGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | 16
	request := []byte{20, 0, 0, 0, getGeneration & 0xff, getGeneration >> 8, unix.NLM_F_REQUEST, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if kind := int(answer[4]) | int(answer[5])<<8; n < 20 || kind == unix.NLMSG_ERROR {
		return fmt.Errorf("nf_tables answers with message %d of %d bytes", kind, n)
	}
	return nil
}

func links() error {
	var errs []error
	for _, l := range []netlink.Link{
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "d0"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "b0"}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"},
		&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "x0"}, VxlanId: 7, Port: 4789},
	} {
		if err := netlink.LinkAdd(l); err != nil {
			errs = append(errs, fmt.Errorf("link of type %s: %w", l.Type(), err))
		}
	}
	_, err := os.Stat("/dev/net/tun")
	return errors.Join(append(errs, err)...)
}

// orphan leaves a grandchild to init and sees it disappear, rather than stay as a zombie.
func orphan() error {
	if os.Getenv("VM_PARENT") != "" {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{"VM_GUEST=nothing"}
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println(child.Process.Pid)
		return nil
	}
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), "VM_PARENT=1")
	out, err := parent.Output()
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < 5*time.Second; runtime.Gosched() {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return nil
		}
	}
	return fmt.Errorf("process %d, an orphan that ended, is still there after 5 s", pid)
}
