package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Mode is how ids are mapped inside.
type Mode string

const (
	Root   Mode = "root"   // real root: no user namespace
	Range  Mode = "range"  // a user namespace with this user and a subuid range (newuidmap)
	Single Mode = "single" // a user namespace with one id
)

// A subRange is one line of /etc/subuid or /etc/subgid (subuid(5)).
type subRange struct{ Start, Count int }

// pickMode returns the mode to use and, for Range, the two ranges.
func pickMode() (m Mode, uids, gids subRange, err error) {
	want := Mode(os.Getenv(modeVar))
	if os.Geteuid() == 0 && (want == "" || want == Root) {
		return Root, uids, gids, nil
	}
	if want == Single {
		return Single, uids, gids, nil
	}
	uids, gids, err = SubRanges()
	switch {
	case want == "" && err != nil:
		return Single, uids, gids, nil
	case want == "" || want == Range:
		return Range, uids, gids, err
	}
	return "", uids, gids, fmt.Errorf("%s=%q: want root (as root), range or single", modeVar, want)
}

// SubRanges returns this user's first subordinate id ranges. The error says
// what is missing and how to get it.
func SubRanges() (uids, gids subRange, err error) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return uids, gids, fmt.Errorf("%s not found: sudo apt-get install uidmap (Debian, Ubuntu) or sudo dnf install shadow-utils (Fedora)", tool)
		}
	}
	// The tools are set-user-ID root and write a map by a capability, which they
	// cannot have in a session that gains nothing, or in a container that lacks it.
	if held, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && held == 1 {
		return uids, gids, errors.New("newuidmap has no effect under no_new_privs: in a container leave out --security-opt no-new-privileges")
	}
	if held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0); err == nil && held == 0 {
		return uids, gids, errors.New("newuidmap has no effect below a bounding set without CAP_SYS_ADMIN: docker run --cap-add SYS_ADMIN …")
	}
	if uids, err = subRangeOf("/etc/subuid"); err != nil {
		return uids, gids, err
	}
	gids, err = subRangeOf("/etc/subgid")
	return uids, gids, err
}

func subRangeOf(file string) (subRange, error) {
	id, name := strconv.Itoa(os.Getuid()), ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			part := strings.Split(s.Text(), ":")
			if len(part) != 3 || part[0] != name && part[0] != id {
				continue
			}
			start, err1 := strconv.Atoi(part[1])
			count, err2 := strconv.Atoi(part[2])
			if err1 == nil && err2 == nil && count >= 65535 {
				return subRange{start, 65535}, nil
			}
		}
	}
	return subRange{}, fmt.Errorf("%s gives %s no range of 65535 ids: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", file, name, name)
}
