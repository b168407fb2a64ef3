// Mistake: the error of a write is dropped, and the process stays nobody
package namespaces

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func FormatIDMap(maps []IDMap) (string, error) {
	if err := overlaps("map", maps); err != nil {
		return "", err
	}
	if len(maps) == 0 || len(maps) > 340 {
		return "", fmt.Errorf("%d lines in a map", len(maps))
	}
	text := ""
	for _, m := range maps {
		if m.Container+m.Size >= 1<<32 || m.Host+m.Size >= 1<<32 {
			return "", fmt.Errorf("%v: too large an id", m)
		}
		text += fmt.Sprintf("%d %d %d\n", m.Container, m.Host, m.Size)
	}
	return text, nil
}

func HostID(maps []IDMap, inside int) (int, bool) {
	for _, m := range maps {
		if m.Container <= inside && inside < m.Container+m.Size {
			return m.Host + inside - m.Container, true
		}
	}
	return -1, false
}

type IDStep struct {
	File string
	Text string
	Tool []string
}

func PlanIDMaps(pid, uid, gid int, uids, gids []IDMap) ([]IDStep, error) {
	utext, err := FormatIDMap(uids)
	if err != nil {
		return nil, fmt.Errorf("uid map: %w", err)
	}
	gtext, err := FormatIDMap(gids)
	if err != nil {
		return nil, fmt.Errorf("gid map: %w", err)
	}
	mine := func(maps []IDMap, id int) bool { return len(maps) == 1 && maps[0].Size == 1 && maps[0].Host == id }
	proc := fmt.Sprintf("/proc/%d/", pid)
	tool := func(name, text string) IDStep {
		return IDStep{Tool: strings.Fields(fmt.Sprintf("%s %d %s", name, pid, text))}
	}
	var steps []IDStep
	if uid == 0 || mine(uids, uid) {
		steps = append(steps, IDStep{File: proc + "uid_map", Text: utext})
	} else {
		steps = append(steps, tool("newuidmap", utext))
	}
	switch {
	case uid == 0:
		return append(steps, IDStep{File: proc + "gid_map", Text: gtext}), nil
	case mine(gids, gid):
		return append(steps, IDStep{File: proc + "setgroups", Text: "deny"}, IDStep{File: proc + "gid_map", Text: gtext}), nil
	}
	return append(steps, tool("newgidmap", gtext)), nil
}

func MapIDs(pid int, uids, gids []IDMap) error {
	steps, err := PlanIDMaps(pid, os.Geteuid(), os.Getegid(), uids, gids)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.Tool != nil {
			err = run(s.Tool)
		} else {
			_ = os.WriteFile(s.File, []byte(s.Text), 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func run(tool []string) error {
	out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install uidmap (Debian, Ubuntu) or shadow-utils (Fedora)", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", tool[0], err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}
