// Package peer measures a program of ours against others of its kind, on one machine
// in one run: what a figure means without the other's beside it nobody knows.
//
// Benchmarks run outside the sandbox, in which the others find no cgroup to write to,
// and on a program that is built for them: the test binary has much more to initialise.
package peer

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// Race starts each command again and again until it ends, in random order, back to
// back, and reports the median of each and the ratio of ours to every other.
func Race(b *testing.B, ours string, starts map[string]func() *exec.Cmd) {
	b.Helper()
	took := map[string][]time.Duration{}
	names := slices.Collect(maps.Keys(starts))
	for b.Loop() {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			cmd := starts[name]()
			begin := time.Now()
			err := cmd.Run()
			took[name] = append(took[name], time.Since(begin))
			check.NoError(b, "run /bin/true by "+name, err)
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return took[name][len(took[name])/2].Seconds() * 1000
	}
	b.ReportMetric(0, "ns/op")
	for _, name := range names {
		b.ReportMetric(median(name), name+"-ms")
		if name != ours {
			b.ReportMetric(median(ours)/median(name), "x-"+name)
		}
	}
}

// Build builds a program as this test binary was built: over the overlay that stands
// on the command line of its parent, go test.
func Build(b *testing.B, pkg string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), filepath.Base(pkg))
	parent := fmt.Sprintf("/proc/%d/", os.Getppid())
	line, _ := os.ReadFile(parent + "cmdline")
	dir, _ := os.Readlink(parent + "cwd")
	args := []string{"build", "-o", program}
	flags := strings.Split(string(line), "\x00")
	for i, flag := range flags {
		name, value, ok := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if name != "overlay" || !strings.HasPrefix(flag, "-") {
			continue
		}
		if !ok && i+1 < len(flags) {
			value = flags[i+1]
		}
		args = append(args, "-overlay", value)
	}
	if dir == "" || len(args) == 3 {
		dir = "."
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = dir // where a relative overlay holds
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+dir)
	out, err := cmd.CombinedOutput()
	check.NoError(b, "go build: "+string(out), err)
	return program
}

// Bundle makes a runtime's own default config.json, with this root and /bin/true.
func Bundle(runtime, bundle, root string) error {
	if _, err := exec.LookPath(runtime); err != nil {
		return fmt.Errorf("not installed: apt-get install %s", runtime)
	}
	file := filepath.Join(bundle, "config.json")
	args := []string{"spec"}
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	spec := exec.Command(runtime, args...)
	spec.Dir = bundle
	if out, err := spec.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	config["root"] = map[string]any{"path": root, "readonly": true}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/bin/true"}, false
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// TrueRoot makes a root of one static program, /bin/true.
func TrueRoot(b *testing.B) string {
	b.Helper()
	busybox, err := exec.LookPath("busybox")
	if err == nil {
		var f *elf.File
		if f, err = elf.Open(busybox); err == nil {
			if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
				err = fmt.Errorf("%s is not static", busybox)
			}
			f.Close()
		}
	}
	if err != nil {
		b.Skipf("a static busybox: %v: apt-get install busybox-static", err)
	}
	root := b.TempDir()
	for _, dir := range []string{"bin", "proc", "sys", "dev", "tmp"} {
		check.NoError(b, "make a folder", os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	text, err := os.ReadFile(busybox)
	check.NoError(b, "read busybox", err)
	check.NoError(b, "write busybox", os.WriteFile(root+"/bin/true", text, 0o755))
	return root
}

// HideUnified takes the cgroup2 mount of a hybrid host out of sight, in a mount
// namespace of this thread: some versions of crun refuse to start beside it.
func HideUnified(b *testing.B) {
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err != nil || os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread() // for good: it is another thread than the others now
	for _, err := range []error{
		unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Unmount(unified, unix.MNT_DETACH),
	} {
		check.NoError(b, "hide "+unified, err)
	}
}

// Benchmarking says whether the binary is to measure.
func Benchmarking() bool {
	return slices.ContainsFunc(os.Args, func(a string) bool {
		pattern, ok := strings.CutPrefix(a, "-test.bench=")
		return ok && pattern != ""
	})
}
