// Alternative: setgroups is denied as the first step, and the tools' words come through a pipe that is read while they run.
package namespaces

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

func FormatIDMap(maps []IDMap) (string, error) {
	if err := overlaps("map", maps); err != nil || len(maps) == 0 || len(maps) > 340 {
		return "", fmt.Errorf("%d ranges (1 to 340 are allowed), %v", len(maps), err)
	}
	lines := make([]string, 0, len(maps)+1)
	for _, m := range maps {
		if last := max(m.Container, m.Host) + m.Size - 1; last > 0xfffffffe {
			return "", fmt.Errorf("id %d does not exist", last)
		}
		lines = append(lines, fmt.Sprint(m.Container, m.Host, m.Size))
	}
	return strings.Join(append(lines, ""), "\n"), nil
}

func HostID(maps []IDMap, inside int) (int, bool) {
	i := slices.IndexFunc(maps, func(m IDMap) bool { return m.Container <= inside && inside-m.Container < m.Size })
	if i < 0 {
		return 65534, false
	}
	return inside - maps[i].Container + maps[i].Host, true
}

type IDStep struct {
	File string
	Text string
	Tool []string
}

func PlanIDMaps(pid, uid, gid int, uids, gids []IDMap) ([]IDStep, error) {
	users, _, err := step(pid, "uid", uid, uid == 0, uids)
	if err != nil {
		return nil, err
	}
	groups, groupDirect, err := step(pid, "gid", gid, uid == 0, gids)
	if err != nil {
		return nil, err
	}
	if uid != 0 && groupDirect {
		return []IDStep{{File: fmt.Sprintf("/proc/%d/setgroups", pid), Text: "deny"}, users, groups}, nil
	}
	return []IDStep{users, groups}, nil
}

func step(pid int, kind string, own int, root bool, maps []IDMap) (s IDStep, direct bool, err error) {
	text, err := FormatIDMap(maps)
	if err != nil {
		return s, false, fmt.Errorf("%s map: %w", kind, err)
	}
	if root || len(maps) == 1 && maps[0].Host == own && maps[0].Size == 1 {
		return IDStep{File: fmt.Sprintf("/proc/%d/%s_map", pid, kind), Text: text}, true, nil
	}
	return IDStep{Tool: append([]string{"new" + kind + "map", fmt.Sprint(pid)}, strings.Fields(text)...)}, false, nil
}

func MapIDs(pid int, uids, gids []IDMap) error {
	steps, err := PlanIDMaps(pid, syscall.Geteuid(), syscall.Getegid(), uids, gids)
	for _, s := range steps {
		if err != nil {
			return err
		}
		if s.Tool != nil {
			err = runTool(s.Tool)
			continue
		}
		var fd int
		if fd, err = syscall.Open(s.File, syscall.O_WRONLY|syscall.O_CLOEXEC, 0); err == nil {
			_, err = syscall.Write(fd, []byte(s.Text))
			syscall.Close(fd)
		}
		if err != nil {
			err = &os.PathError{Op: "write", Path: s.File, Err: err}
		}
	}
	return err
}

func runTool(tool []string) error {
	path, err := exec.LookPath(tool[0])
	if err != nil {
		return fmt.Errorf("no %s here (package uidmap (Debian, Ubuntu), shadow-utils (Fedora))", tool[0])
	}
	cmd := exec.Command(path, tool[1:]...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", tool[0], err)
	}
	said := []string{tool[0] + ":"}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said = append(said, lines.Text())
	}
	if cmd.Wait() != nil {
		return fmt.Errorf("%s", strings.Join(said, " "))
	}
	return nil
}
