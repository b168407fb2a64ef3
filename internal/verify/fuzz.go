package verify

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// fuzzTime is how much one target runs, about a second. As a time, what it is
// doing when that is over can fail it: "context deadline exceeded".
const fuzzTime = "2000x"

var elapsed = regexp.MustCompile(`(?m)^fuzz: .*\n`)

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzz runs each fuzz target of the chapters over the references, a bounded
// number of times. What is as it was is not fuzzed again.
func (r *run) fuzz(ctx context.Context) error {
	l := r.reference()
	for _, dir := range r.packages() {
		var targets []string
		for _, f := range r.src.files[dir] {
			if strings.HasSuffix(f, "_test.go") {
				src, err := os.ReadFile(r.Tree.Path(f))
				if err != nil {
					return err
				}
				for _, m := range fuzzFunc.FindAllStringSubmatch(string(src), -1) {
					targets = append(targets, m[1])
				}
			}
		}
		if _, broken := r.broken.Load(dir); broken || len(targets) == 0 {
			continue
		}
		key, done := digest("fuzz", r.src.key(dir, l), r.keep.machine), false
		if r.keep.get(key, &done) {
			r.report.pass(len(targets))
			continue
		}
		ok, err := r.fuzzPackage(ctx, dir, l, targets)
		if err != nil {
			return err
		}
		if ok {
			r.keep.put(key, true)
		}
	}
	return nil
}

func (r *run) fuzzPackage(ctx context.Context, dir string, l workshop.Layer, targets []string) (ok bool, err error) {
	overlay, err := r.Tree.Write(l)
	if err != nil {
		return false, err
	}
	bin := filepath.Join(r.tmp, "fuzz.test")
	err = gotest.Build(ctx, r.Tree.Root, dir, overlay, bin, "-fuzz=.")
	if build := new(gotest.BuildError); errors.As(err, &build) {
		r.report.fail(dir, "", "with -fuzz: %s", brief(build.Output))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ok = true
	for _, target := range targets {
		cache, err := os.MkdirTemp("", "coracle-fuzz-") // what it finds; in a sandbox that of the sandbox
		if err != nil {
			return false, err
		}
		cmd := exec.CommandContext(ctx, bin, "-test.run=^$", "-test.fuzz=^"+target+"$", "-test.fuzztime="+fuzzTime,
			"-test.fuzzminimizetime=10x", "-test.fuzzcachedir="+cache, "-test.timeout="+r.o.Timeout.String())
		cmd.Dir = r.Tree.Path(dir)
		out, err := cmd.CombinedOutput()
		os.RemoveAll(cache)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			ok = false
			r.report.fail(dir, "the input is in its testdata/fuzz/"+target, "%s: %s", target, brief(elapsed.ReplaceAllString(string(out), "")))
			continue
		}
		r.report.pass(1)
	}
	return ok, nil
}
