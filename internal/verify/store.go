package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"coracle/internal/workshop"
)

// store keeps results that came out as expected.
type store struct {
	dir     string
	fresh   bool
	machine string
}

// keptFor is how long an unused result stays.
const keptFor = 14 * 24 * time.Hour

func openStore(t *workshop.Tree, fresh bool) (*store, error) {
	s := &store{t.Path(".lab/cache/verify"), fresh, machine()}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	old, _ := os.ReadDir(s.dir)
	for _, e := range old {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > keptFor {
			os.Remove(filepath.Join(s.dir, e.Name()))
		}
	}
	return s, nil
}

func (s *store) get(key string, v any) bool {
	if s.fresh {
		return false
	}
	name := filepath.Join(s.dir, key+".json")
	data, err := os.ReadFile(name)
	if err != nil || json.Unmarshal(data, v) != nil {
		return false
	}
	now := time.Now()
	os.Chtimes(name, now, now)
	return true
}

// put is best effort: without it the next run is only slower.
func (s *store) put(key string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	if tmp, err := os.CreateTemp(s.dir, ".tmp-*"); err == nil {
		tmp.Write(data)
		tmp.Close()
		os.Rename(tmp.Name(), filepath.Join(s.dir, key+".json"))
	}
}

// machine names what decides which tests can run here: who asks, the kernel, the
// sandbox's mode and rules, and the tools in PATH.
func machine() string {
	read := func(p string) string { b, _ := os.ReadFile(p); return string(b) }
	parts := []string{
		fmt.Sprint(os.Getuid(), os.Getenv("CORACLE_SANDBOX_MODE")),
		read("/proc/version"), read("/etc/subuid"), read("/etc/subgid"), read("/proc/filesystems"),
		read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), read("/proc/sys/kernel/unprivileged_userns_clone"),
		read("/proc/sys/user/max_user_namespaces"),
	}
	for line := range strings.Lines(read("/proc/self/mounts")) {
		if strings.Contains(line, "cgroup") || strings.Contains(line, " /proc") {
			parts = append(parts, line)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if fi, err := os.Stat(dir); err == nil {
			parts = append(parts, dir, fi.ModTime().String())
		}
	}
	return digest(parts...)
}

// goTool runs the go command in root and returns what it printed.
func goTool(root string, args ...string) (string, error) {
	return goToolContext(context.Background(), root, args...)
}

func goToolContext(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
