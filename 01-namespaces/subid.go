package namespaces

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultIDMaps maps 0 to this process's own ids, and as many more from 1 on as
// /etc/subuid and /etc/subgid give its user (subuid(5)), if there are any and the
// tools newuidmap and newgidmap, which alone may write such a map. They are
// set-user-ID root and do it by CAP_SYS_ADMIN: neither no_new_privs nor the bounding
// set may stand against it, as in a container they often do.
func DefaultIDMaps() (uids, gids []IDMap) {
	uids, gids = []IDMap{{0, os.Geteuid(), 1}}, []IDMap{{0, os.Getegid(), 1}}
	held, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
	stays, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if held == 0 || stays == 1 {
		return uids, gids
	}
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return uids, gids
		}
	}
	uid := strconv.Itoa(os.Geteuid())
	name := userName(uid)
	moreUIDs, moreGIDs := subIDs("/etc/subuid", name, uid), subIDs("/etc/subgid", name, uid)
	if len(moreUIDs) == 0 || len(moreGIDs) == 0 {
		return uids, gids
	}
	return append(uids, moreUIDs...), append(gids, moreGIDs...)
}

// subIDs returns the ranges that a file gives to a user, from id 1 inside on.
func subIDs(file, name, uid string) []IDMap {
	var ranges []IDMap
	next := 1
	for part := range fields(file) {
		if len(part) != 3 || part[0] != name && part[0] != uid {
			continue
		}
		first, err1 := strconv.Atoi(part[1])
		count, err2 := strconv.Atoi(part[2])
		if err1 == nil && err2 == nil && count > 0 {
			ranges = append(ranges, IDMap{next, first, count})
			next += count
		}
	}
	return ranges
}

func userName(uid string) string {
	for part := range fields("/etc/passwd") {
		if len(part) > 2 && part[2] == uid {
			return part[0]
		}
	}
	return uid
}

// fields yields the lines of a file, cut at colons; none if it cannot be read.
func fields(file string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		text, _ := os.ReadFile(file)
		for line := range bytes.Lines(text) {
			if !yield(strings.Split(strings.TrimSpace(string(line)), ":")) {
				return
			}
		}
	}
}
