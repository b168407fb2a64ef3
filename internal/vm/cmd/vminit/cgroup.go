package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// enableControllers hands every controller of a group to its children. Only the root group may hold processes at the
// same time, which is where init and the agent stay (cgroups(7), no internal processes).
func enableControllers(group string) error {
	text, err := os.ReadFile(group + "/cgroup.controllers")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(text)) {
		if err := os.WriteFile(group+"/cgroup.subtree_control", []byte("+"+name), 0); err != nil {
			return fmt.Errorf("enable cgroup controller %s: %w", name, err)
		}
	}
	return nil
}

// newGroup makes a command's group. An ordinary user's is delegated: directory and the files that the kernel lists in
// /sys/kernel/cgroup/delegate are theirs, the limits on the group itself are not.
func newGroup(name string, uid int) (dir string, fd *os.File, err error) {
	dir = filepath.Join("/sys/fs/cgroup", name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	if uid != 0 {
		list, err := os.ReadFile("/sys/kernel/cgroup/delegate")
		if err != nil {
			return "", nil, err
		}
		for _, file := range append(strings.Fields(string(list)), ".") {
			if err := os.Chown(filepath.Join(dir, file), uid, uid); err != nil && !os.IsNotExist(err) {
				return "", nil, err
			}
		}
	}
	fd, err = os.Open(dir)
	return dir, fd, err
}

// endGroup kills what is left in a group and removes it with all below it. A group is busy until its last process is
// gone, zombies included, so it asks again for a while.
func endGroup(dir string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		killGroup(dir)
		var groups []string
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // it may be half gone
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for _, group := range slices.Backward(groups) {
			os.Remove(group) //nolint:errcheck // asked again
		}
		if _, err := os.Stat(dir); err != nil {
			return
		}
	}
	fmt.Fprintf(os.Stderr, "vminit: cgroup %s could not be removed\n", dir)
}

// killGroup ends every process in a group and below it; a frozen one too (cgroup.kill came with Linux 5.14).
func killGroup(dir string) {
	os.WriteFile(dir+"/cgroup.kill", []byte("1"), 0) //nolint:errcheck // gone is dead
}
