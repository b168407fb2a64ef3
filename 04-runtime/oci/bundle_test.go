package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

// A bundle is a container to be: the machine's programs, read-only, in an otherwise
// empty root, and a shell script.
type bundle struct {
	*specs.Spec
	t              testing.TB
	dir, root, id  string
	stdout, stderr bytes.Buffer
}

var bundles atomic.Int32

func newBundle(t testing.TB, script string) *bundle {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t)
	dir := t.TempDir()
	b := &bundle{Spec: Example(), t: t, dir: dir, root: filepath.Join(dir, "rootfs"), id: "test" + strconv.Itoa(int(bundles.Add(1)))}
	b.Process.Terminal = false
	b.script(script)
	for _, d := range []string{"tmp", "etc", "root"} {
		check.NoError(t, "make a folder", os.MkdirAll(filepath.Join(b.root, d), 0o755))
	}
	for _, d := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr"} {
		if to, err := os.Readlink(d); err == nil { // as /bin is where /usr is merged
			check.NoError(t, "link "+d, os.Symlink(to, filepath.Join(b.root, d)))
		} else if _, err := os.Stat(d); err == nil {
			b.bind(d, d, "rbind", "ro")
		}
	}
	if sandbox.CurrentMode() != sandbox.Root && !pureV2(t) {
		b.dropMount("/sys/fs/cgroup") // an ordinary user's v1 groups are the machine's
	}
	if sandbox.CurrentMode() == sandbox.Single {
		b.dropOption("/dev/pts", "gid=5")
	}
	return b
}

func pureV2(t testing.TB) bool {
	t.Helper()
	all, err := hostgroup.Hierarchies()
	check.NoError(t, "find the groups", err)
	return len(all) == 1 && all[0].V2()
}

func (b *bundle) script(s string) { b.Process.Args = []string{"/bin/sh", "-c", s} }

func (b *bundle) mount(dest, fstype, source string, options ...string) {
	b.Mounts = append(b.Mounts, specs.Mount{Destination: dest, Type: fstype, Source: source, Options: options})
}

func (b *bundle) bind(source, dest string, options ...string) {
	if !slices.Contains(options, "rbind") {
		options = append(options, "bind")
	}
	b.mount(dest, "bind", source, options...)
}

func (b *bundle) dropMount(dest string) {
	b.Mounts = slices.DeleteFunc(b.Mounts, func(m specs.Mount) bool { return m.Destination == dest })
}

func (b *bundle) dropOption(dest, option string) {
	for i, m := range b.Mounts {
		if m.Destination == dest {
			b.Mounts[i].Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == option })
		}
	}
}

// caps gives the program these capabilities, and no others.
func (b *bundle) caps(names ...string) {
	b.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
}

func (b *bundle) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"--root", filepath.Join(b.dir, "state")}, args...)...)
	cmd.Args[0] = "container"
	return cmd
}

// callPatience is how long one call may take, with the programs in the container, on an
// emulated machine too.
const callPatience = 30 * time.Second

// do runs a command of the runtime to its end.
func (b *bundle) do(args ...string) (stdout, stderr string, status int) {
	b.t.Helper()
	var out, errs bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	check.NoError(b.t, "start container", cmd.Start())
	late := time.AfterFunc(callPatience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	check.True(b.t, "container "+strings.Join(args, " "), late.Stop(), "nothing for "+callPatience.String(), "it to end")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		check.NoError(b.t, "wait for container", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (b *bundle) write() {
	b.t.Helper()
	text, err := json.Marshal(b.Spec)
	check.NoError(b.t, "encode config.json", err)
	check.NoError(b.t, "write config.json", os.WriteFile(filepath.Join(b.dir, "config.json"), text, 0o644))
}

// run runs the container and returns what it printed and its status.
func (b *bundle) run() (stdout, stderr string, status int) {
	b.t.Helper()
	b.write()
	return b.do("run", "--bundle", b.dir, b.id)
}

// prints checks what the container prints, and that it ends well.
func (b *bundle) prints(what, want string) {
	b.t.Helper()
	out, errs, status := b.run()
	check.Equal(b.t, what+": stderr", "", errs)
	check.Equal(b.t, what, want, strings.TrimSuffix(out, "\n"))
	check.Equal(b.t, what+": the exit status", 0, status)
}

// refused checks that the container is not even made, and why.
func (b *bundle) refused(what string, parts ...string) {
	b.t.Helper()
	out, errs, status := b.run()
	check.True(b.t, what, status != 0 && out == "", out, "a refusal")
	check.ErrorHas(b.t, what, errors.New(strings.TrimSpace(errs)), parts)
	check.True(b.t, what+": the message", strings.Count(strings.TrimSpace(errs), "\n") == 0, errs, "one line")
}
