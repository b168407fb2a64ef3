package ours

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/04-runtime/driver"
)

// maxTable is more than any image's /etc/passwd.
const maxTable = 1 << 20

// table reads a file of lines with colons; one that is not there, or leads out of the
// root, is empty.
func table(root *os.Root, file string) ([][]string, error) {
	f, err := root.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("the image's /%s: %w", file, err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("the image's /%s is no file", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTable))
	var lines [][]string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Split(strings.TrimSpace(line), ":"))
	}
	return lines, err
}

// account decides who a container's process is: the image's user ("", "name", "1000",
// "name:group", "1000:1000"), what the security context says above it, and the groups
// that the image's /etc/group gives. home is for $HOME.
func account(rootfs, image string, s driver.Security) (u specs.User, home string, err error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return u, "", err
	}
	defer root.Close()
	passwd, err := table(root, "etc/passwd")
	if err != nil {
		return u, "", err
	}
	group, err := table(root, "etc/group")
	if err != nil {
		return u, "", err
	}
	who, asGroup, hasGroup := strings.Cut(image, ":")
	if s.User != nil {
		who, hasGroup = strconv.FormatInt(*s.User, 10), false
	}
	if who == "" {
		who = "0"
	}
	name := ""
	home = "/"
	if line := find(passwd, who, 6); line != nil {
		name, home = line[0], line[5]
		if u.UID, err = number(line[2]); err == nil {
			u.GID, err = number(line[3])
		}
	} else if u.UID, err = number(who); err != nil {
		err = fmt.Errorf("user %q: not in the image's /etc/passwd", who)
	}
	if err != nil {
		return u, "", err
	}
	if hasGroup {
		if line := find(group, asGroup, 3); line != nil {
			asGroup = line[2]
		}
		if u.GID, err = number(asGroup); err != nil {
			return u, "", fmt.Errorf("group %q: not in the image's /etc/group", asGroup)
		}
	}
	if s.Group != nil {
		u.GID = uint32(*s.Group)
	}
	for _, g := range s.Groups {
		u.AdditionalGids = append(u.AdditionalGids, uint32(g))
	}
	for _, line := range group {
		if s.StrictGroups || name == "" || len(line) < 4 || !slices.Contains(strings.Split(line[3], ","), name) {
			continue
		}
		if gid, err := number(line[2]); err == nil && !slices.Contains(u.AdditionalGids, gid) {
			u.AdditionalGids = append(u.AdditionalGids, gid)
		}
	}
	return u, home, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return uint32(n), err
}

// find returns the line of a name or of a number, the third field of both tables.
func find(lines [][]string, who string, fields int) []string {
	for _, by := range []int{0, 2} {
		for _, line := range lines {
			if len(line) >= fields && line[by] == who {
				return line
			}
		}
	}
	return nil
}
