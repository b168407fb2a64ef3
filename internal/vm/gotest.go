package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coracle/internal/base"
	"coracle/internal/gotest"
)

// TestSpec says which tests to run in a machine.
type TestSpec struct {
	ModuleRoot string   // absolute
	Packages   []string // patterns as `go test` takes them, below ModuleRoot: "./02-cgroups/..."
	Overlay    string   // file for go's -overlay, or ""
	Args       []string // "-v", "-run=Memory", "-test.count=2", or flags of the tests' own
	User       string   // "" is root; "learner"
	JSON       bool     // as `go test -json`
	Machine    Config   // its Root is the base root file system unless another is named; its Programs get nft and those that map ids
	Files      []File   // what tests read besides their package's directory and go.mod
}

// testPackage is what go list says.
type testPackage struct {
	ImportPath, Dir           string
	TestGoFiles, XTestGoFiles []string
}

// Test compiles the tests here, runs them there, each in its package's directory under the same absolute path, and
// reports as `go test` does with a list of packages: all output with -v or on failure, and one line each. The exit
// code is 1 when a test or a build failed; an error means that nothing can be said about them. Vet is not run.
func Test(ctx context.Context, spec TestSpec, out io.Writer) (exitCode int, err error) {
	packages, err := spec.list(ctx)
	if err != nil {
		return 1, err
	}
	root, err := base.Ensure(ctx, spec.ModuleRoot)
	if err != nil {
		return 1, err
	}
	args := testArgs(spec.Args)
	verbose := slices.ContainsFunc(args, func(a string) bool {
		return a == "-test.v" || a == "-test.v=true" || strings.HasPrefix(a, "-test.bench=") || strings.HasPrefix(a, "-test.list=")
	})
	timeout := 10 * time.Minute
	for _, a := range args {
		if text, ok := strings.CutPrefix(a, "-test.timeout="); ok {
			if timeout, err = time.ParseDuration(text); err != nil {
				return 1, fmt.Errorf("tests in the virtual machine: -timeout %s: want a duration such as 90s", text)
			}
		}
	}
	args = append([]string{"-test.paniconexit0", "-test.timeout=" + timeout.String()}, args...)
	if spec.JSON {
		args = append(args, "-test.v=test2json")
	}
	const guestBase = "/usr/lib/coracle-base"
	goMod := filepath.Join(spec.ModuleRoot, "go.mod")
	files := append([]File{{Host: root, Guest: guestBase}, {Host: goMod, Guest: goMod}}, spec.Files...)
	var commands []Command
	var reports []*report
	for _, p := range packages {
		r := &report{pkg: p.ImportPath, out: out, stream: verbose}
		if spec.JSON {
			r.asJSON(ctx)
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			r.end("?   \t" + p.ImportPath + "\t[no test files]\n")
			continue
		}
		binary, err := spec.build(ctx, p)
		if err != nil {
			var build *gotest.BuildError
			if !errors.As(err, &build) {
				return 1, err
			}
			exitCode = 1
			said, _, _ := strings.Cut(build.Output, "\nFAIL")     // the verdict is below, and once
			io.WriteString(r, strings.TrimRight(said, "\n")+"\n") //nolint:errcheck // it is held back
			r.end("FAIL\t" + p.ImportPath + " [build failed]\n")
			continue
		}
		more, err := packageFiles(p.Dir)
		if err != nil {
			return 1, err
		}
		// Outside the directory, as with go test, whose binary lies in a temporary one.
		guest := fmt.Sprintf("/usr/lib/tests/%d/%s.test", len(commands), filepath.Base(p.Dir))
		files = append(append(files, more...), File{Data: binary, Guest: guest, Mode: 0o755})
		commands = append(commands, Command{Args: append([]string{guest}, args...), Dir: p.Dir, Env: []string{"PWD=" + p.Dir, "CORACLE_BASE=" + guestBase, slow(spec.Machine)},
			User: spec.User, Timeout: timeout + 30*time.Second, Stdout: r, Stderr: r})
		reports = append(reports, r)
	}
	if len(commands) == 0 {
		return exitCode, nil
	}
	cfg := spec.Machine
	cfg.ModuleRoot = spec.ModuleRoot
	if cfg.Root == "" {
		cfg.Root = root
	}
	cfg.Programs = append([]string{"nft", "newuidmap", "newgidmap"}, cfg.Programs...)
	cfg.OnExit = func(i int, result Result) {
		if !reports[i].finish(result) {
			exitCode = 1
		}
	}
	results, err := Run(ctx, cfg, files, commands, nil, nil)
	for _, r := range reports[len(results):] {
		r.end("FAIL\t" + r.pkg + " [not run to its end]\n")
	}
	if exitCode == 1 && !spec.JSON {
		fmt.Fprintln(out, "FAIL")
	}
	return exitCode, err
}

// list resolves the patterns.
func (spec TestSpec) list(ctx context.Context) ([]*testPackage, error) {
	args := []string{"list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}
	if spec.Overlay != "" {
		args = append(args, "-overlay", spec.Overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, spec.Packages...)...)
	cmd.Dir = spec.ModuleRoot
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("packages %s: %s", strings.Join(spec.Packages, " "), bytes.TrimSpace(stderr.Bytes()))
	}
	var packages []*testPackage
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		p := &testPackage{}
		if err := dec.Decode(p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("%s matches no packages below %s", strings.Join(spec.Packages, " "), spec.ModuleRoot)
	}
	return packages, nil
}

// build compiles into the cache, under a name that stands for checkout and package, so that no more are kept than
// there are packages. Symbols are left out as `go test` does when it runs what it builds.
func (spec TestSpec) build(ctx context.Context, p *testPackage) ([]byte, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Rel(spec.ModuleRoot, p.Dir)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.ImportPath, err)
	}
	sum := sha256.Sum256([]byte(spec.ModuleRoot + "\x00" + p.ImportPath))
	out := filepath.Join(cache, "tests", filepath.Base(p.Dir)+"-"+hex.EncodeToString(sum[:6])+".test")
	return locked(out, func() error {
		return gotest.Build(ctx, spec.ModuleRoot, filepath.ToSlash(dir), spec.Overlay, out, "-ldflags=-s -w")
	})
}

// packageFiles are a package's directory without the packages below it; testdata comes whole.
func packageFiles(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			if d.Type().IsRegular() {
				files = append(files, File{Host: path, Guest: path})
			}
			return nil
		case d.Name() == "testdata":
			files = append(files, File{Host: path, Guest: path})
			return fs.SkipDir
		case path != dir:
			if sources, _ := filepath.Glob(filepath.Join(path, "*.go")); len(sources) > 0 || d.Name()[0] == '.' {
				return fs.SkipDir
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("files of the tests: %w", err)
	}
	return files, nil
}

// testFlags are those of `go test` that the test binary knows under another name (go help testflag).
var testFlags = []string{"bench", "benchmem", "benchtime", "count", "cpu", "failfast", "fullpath", "list", "parallel", "run",
	"short", "shuffle", "skip", "timeout", "v"}

// testArgs turns "-run X" and "--run=X" into "-test.run=X".
func testArgs(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-"), "=")
		name = strings.TrimPrefix(name, "test.")
		if !strings.HasPrefix(args[i], "-") || !slices.Contains(testFlags, name) {
			out = append(out, args[i])
			continue
		}
		if !has && !slices.Contains([]string{"benchmem", "failfast", "fullpath", "short", "v"}, name) && i+1 < len(args) {
			i++
			value, has = args[i], true
		}
		flag := "-test." + name
		if has {
			flag += "=" + value
		}
		out = append(out, flag)
	}
	return out
}

// slow tells internal/check how patient to be with an emulated machine.
func slow(m Config) string {
	if m.Accel == "kvm" {
		return "CORACLE_SLOW=1"
	}
	return "CORACLE_SLOW=4"
}
