package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// An account is who runs, or owns, something in an image.
type account struct {
	uid, gid int
	groups   []int
	home     string
}

// lookup finds "name", "1000", "name:group" or "1000:1000" in an image's
// /etc/passwd and /etc/group. A number needs no entry there; its group is then what
// orGroup says: 0 for a program (runc, libcontainer/user), the number itself for
// the owner of a file (docs.docker.com, "COPY --chown").
func lookup(guest *os.Root, who string, orGroup func(uid int) int) (account, error) {
	user, group, hasGroup := strings.Cut(who, ":")
	a := account{home: "/"}
	if user == "" {
		user = "0"
	}
	line, err := find(guest, "/etc/passwd", user, 2)
	if err != nil {
		return a, err
	}
	if len(line) >= 6 {
		a.uid, _ = strconv.Atoi(line[2])
		a.gid, _ = strconv.Atoi(line[3])
		a.home = line[5]
		if a.groups, err = memberOf(guest, line[0]); err != nil {
			return a, err
		}
	} else if a.uid, err = id(user); err != nil {
		return a, fmt.Errorf("user %s: not in the image's /etc/passwd", user)
	} else {
		a.gid = orGroup(a.uid)
	}
	if !hasGroup {
		return a, nil
	}
	a.groups = nil
	if line, err = find(guest, "/etc/group", group, 2); err != nil {
		return a, err
	}
	if len(line) >= 3 {
		group = line[2]
	}
	if a.gid, err = id(group); err != nil {
		return a, fmt.Errorf("group %s: not in the image's /etc/group", group)
	}
	return a, nil
}

func id(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// find returns the line of a name, or of a number in this field; nil if there is none.
func find(guest *os.Root, file, name string, field int) ([]string, error) {
	lines, err := table(guest, file)
	for _, by := range []int{0, field} {
		for _, line := range lines {
			if len(line) > field && line[by] == name {
				return line, err
			}
		}
	}
	return nil, err
}

func memberOf(guest *os.Root, name string) (groups []int, err error) {
	lines, err := table(guest, "/etc/group")
	for _, line := range lines {
		if len(line) < 4 || !slices.Contains(strings.Split(line[3], ","), name) {
			continue
		}
		if gid, err := id(line[2]); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups, err
}

// maxTable is more than any image's /etc/passwd.
const maxTable = 1 << 20

// table reads a file of lines with colons; one that is not there is empty.
func table(guest *os.Root, file string) ([][]string, error) {
	at, err := resolve(guest, file, true)
	if err != nil {
		return nil, err
	}
	fi, err := guest.Stat(at)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxTable {
		return nil, fmt.Errorf("the image's %s is no file, or one of more than %d bytes", file, maxTable)
	}
	text, err := guest.ReadFile(at)
	if err != nil {
		return nil, err
	}
	var lines [][]string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Split(strings.TrimSpace(line), ":"))
	}
	return lines, nil
}
