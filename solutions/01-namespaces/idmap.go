package namespaces

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// FormatIDMap returns the text of a map, one line a range.
func FormatIDMap(maps []IDMap) (string, error) {
	const maxLines, noID = 340, 1<<32 - 1 // user_namespaces(7)
	if len(maps) == 0 || len(maps) > maxLines {
		return "", fmt.Errorf("%d ranges, want 1 to %d", len(maps), maxLines)
	}
	if err := overlaps("ranges", maps); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range maps {
		if m.Container+m.Size > noID || m.Host+m.Size > noID {
			return "", fmt.Errorf("range %+v goes beyond the last id, %d", m, noID-1)
		}
		fmt.Fprintf(&b, "%d %d %d\n", m.Container, m.Host, m.Size)
	}
	return b.String(), nil
}

// HostID translates an id inside to the one outside; false if it is not mapped.
func HostID(maps []IDMap, inside int) (int, bool) {
	for _, m := range maps {
		if i := inside - m.Container; i >= 0 && i < m.Size {
			return m.Host + i, true
		}
	}
	return -1, false
}

// An IDStep is one thing to do: to write Text to File, or to run Tool.
type IDStep struct {
	File string
	Text string
	Tool []string
}

// PlanIDMaps says, in order, what a process with the effective ids uid and gid
// does to give the process pid these maps.
func PlanIDMaps(pid, uid, gid int, uids, gids []IDMap) ([]IDStep, error) {
	var steps []IDStep
	for _, m := range []struct {
		file, tool string
		own        int
		maps       []IDMap
	}{{"uid_map", "newuidmap", uid, uids}, {"gid_map", "newgidmap", gid, gids}} {
		text, err := FormatIDMap(m.maps)
		if err != nil {
			return nil, fmt.Errorf("%s map: %w", m.file[:3], err)
		}
		own := len(m.maps) == 1 && m.maps[0].Size == 1 && m.maps[0].Host == m.own
		if uid != 0 && !own {
			tool := append([]string{m.tool, strconv.Itoa(pid)}, strings.Fields(text)...)
			steps = append(steps, IDStep{Tool: tool})
			continue
		}
		if uid != 0 && m.file == "gid_map" {
			steps = append(steps, IDStep{File: fmt.Sprintf("/proc/%d/setgroups", pid), Text: "deny"})
		}
		steps = append(steps, IDStep{File: fmt.Sprintf("/proc/%d/%s", pid, m.file), Text: text})
	}
	return steps, nil
}

// MapIDs gives the process pid, in a user namespace of its own, its maps.
func MapIDs(pid int, uids, gids []IDMap) error {
	steps, err := PlanIDMaps(pid, os.Geteuid(), os.Getegid(), uids, gids)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.Tool != nil {
			err = refRun(s.Tool)
		} else if err = os.WriteFile(s.File, []byte(s.Text), 0); err != nil { // one write, whole
			err = fmt.Errorf("map ids: %w", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refRun runs one of the set-uid tools and makes one line of all that it says.
func refRun(tool []string) error {
	out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed: it is in the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)", tool[0])
	case err != nil && len(out) > 0:
		return fmt.Errorf("%s: %s", tool[0], strings.Join(strings.Fields(string(out)), " "))
	case err != nil:
		return fmt.Errorf("%s: %w", tool[0], err)
	}
	return nil
}
