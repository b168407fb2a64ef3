package namespaces

import "coracle/internal/exercise"

// Exercise 1.6: id maps: rootless
//
// A process in a new user namespace has every capability there and no id: who it
// is, the parent says by writing /proc/PID/uid_map and gid_map. Each line maps a
// range, "inside outside size", and a file is written once, whole, in one
// write(2) (user_namespaces(7), "User and group ID mappings").
//
// Who may write what:
//   - root, that is the holder of CAP_SETUID and CAP_SETGID: any map;
//   - anyone: a map of one line and one id, his own effective one. Before the
//     gid_map he must write "deny" to /proc/PID/setgroups, or one could give up a
//     group by which a file is forbidden to him (user_namespaces(7), "The
//     /proc/pid/setgroups file"); and setgroups can only be denied before;
//   - the set-uid programs newuidmap(1) and newgidmap(1): also ids that
//     /etc/subuid and /etc/subgid give this user. They write the file themselves.
//
// So first comes a plan, which is plain computation and can be tested anywhere,
// and then its execution. Given, in spec.go: overlaps(field, maps), an error if
// two lines overlap inside or outside, or a size is not positive.
//
// Delete this line when you start:
var _ = todo("1.6")

// FormatIDMap returns the text of a map, one line a range, in the order given.
//
//	FormatIDMap([]IDMap{{0, 1001, 1}, {1, 100000, 65535}}) → "0 1001 1\n1 100000 65535\n"
//
// Errors, each before the kernel's bare EINVAL: no line at all, more than 340 of
// them, ranges that overlap, ids of 2³²-1 or more (that one means "no id").
func FormatIDMap(maps []IDMap) (string, error) {
	return "", exercise.Unwritten("1.6")
}

// HostID translates an id inside to the one outside; false if it is not mapped
// (the kernel shows such owners as 65534).
//
//	HostID([]IDMap{{0, 1001, 1}, {1, 100000, 65535}}, 33) → 100032, true
func HostID(maps []IDMap, inside int) (int, bool) {
	return -1, false
}

// An IDStep is one thing to do: to write Text to File, or to run Tool.
type IDStep struct {
	File string   // "/proc/4711/setgroups"
	Text string   // "deny"
	Tool []string // "newuidmap", "4711", "0", "1001", "1", "1", "100000", "65535"
}

// PlanIDMaps says, in order, what a process with the effective ids uid and gid
// does to give the process pid these maps. uid 0 counts as root and keeps
// setgroups; the tools are used for a map that the writer may not write himself
// and for no other, and each decides by itself whether to deny setgroups.
//
//	PlanIDMaps(4711, 1001, 1001, {{0, 1001, 1}}, {{0, 1001, 1}}) →
//	    {"/proc/4711/uid_map", "0 1001 1\n"}, {"/proc/4711/setgroups", "deny"}, {"/proc/4711/gid_map", "0 1001 1\n"}
//
// Errors: those of FormatIDMap, with "uid map" or "gid map" before them.
func PlanIDMaps(pid, uid, gid int, uids, gids []IDMap) ([]IDStep, error) {
	return nil, exercise.Unwritten("1.6")
}

// MapIDs gives the process pid, in a user namespace of its own, its maps: it
// plans, with this process's effective ids, and executes the plan.
//
// Errors: one line that names the file or the tool. A tool speaks on its standard
// error, on several lines at times; all of it belongs into the one:
// "newuidmap: newuidmap: uid range [1-65536) -> [9-65544) not allowed". A tool
// that is not installed is an error that names its package: uidmap (Debian,
// Ubuntu) or shadow-utils (Fedora).
//
// Done when: `./lab test 1.6` is green. May use: fmt, strings, os.OpenFile or
// os.WriteFile, os/exec, os.Geteuid.
func MapIDs(pid int, uids, gids []IDMap) error {
	return exercise.Unwritten("1.6")
}
