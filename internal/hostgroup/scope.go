package hostgroup

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// scopeVar is set while this program runs in a scope that systemd delegated.
const scopeVar = "CORACLE_SCOPE"

// EnterScope executes this program again in a scope that the user's systemd
// delegates to it, if that is the way to a group of its own: descriptors,
// arguments and PID stay. It returns where there is a group already, or no systemd
// of the user's. A group of the user's systemd may be writable, but holds the
// terminal or the desktop as well, which must not be moved.
func EnterScope() {
	h, err := Unified()
	if err != nil || os.Geteuid() == 0 || os.Getenv(scopeVar) != "" {
		return
	}
	if _, err := h.Parent(); !errors.Is(err, ErrNotDelegated) && !strings.Contains(h.Own, "/user@") {
		return
	}
	run, err := exec.LookPath("systemd-run")
	if err != nil || exec.Command(run, "--user", "--scope", "--quiet", "--", "true").Run() != nil {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	args := append([]string{run, "--user", "--scope", "--quiet", "-p", "Delegate=yes", "--", exe}, os.Args[1:]...)
	syscall.Exec(run, args, append(os.Environ(), scopeVar+"=1"))
}
