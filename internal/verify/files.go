package verify

import (
	"os"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// files: the stub, its mark and archive, the reference, mistakes and alternatives.
func (r *run) files(e exercise.Exercise) {
	if _, err := os.Stat(r.Tree.Path(e.File)); err != nil {
		r.report.fail(e.File, "./lab reset "+e.ID+" brings the stub back", "exercise %s has no file", e.ID)
	}
	stub, err := r.Tree.Stub(e)
	switch {
	case err != nil:
		r.report.fail(workshop.StubsFile, "./lab dev gen", "no stub of exercise %s", e.ID)
	case !workshop.HasMark(stub, e.ID):
		r.report.fail(e.File, "mark it: var _ = todo(\""+e.ID+"\")", "the stub of exercise %s bears no mark", e.ID)
	default:
		if _, says := unwritten(stub); !says {
			r.report.fail(e.File, "let its bodies return exercise.Unwritten", "nothing in the stub of %s is unwritten", e.ID)
		}
		r.names(e, stub)
	}
	for _, k := range []struct {
		kind, heading string
		least         int
	}{{"mistakes", "Mistake", 2}, {"alternatives", "Alternative", 1}} {
		vs, err := r.variants(e, k.kind, k.heading)
		if err != nil || len(vs) < k.least {
			r.report.fail("solutions/"+k.kind+"/"+e.ID, "write them", "exercise %s has %d %s, want at least %d", e.ID, len(vs), k.kind, k.least)
		}
		phrases := map[string]string{}
		for _, v := range vs {
			if v.says == "" {
				r.report.fail(v.file, "begin it with // "+k.heading+": …", "the first line does not say what it is")
			} else if other := phrases[v.says]; other != "" {
				r.report.fail(v.file, "one phrase, one mistake", "says the same as %s", other)
			}
			phrases[v.says] = v.file
		}
	}
}

// names: a reference has the stub's exported names and adds none but ref….
func (r *run) names(e exercise.Exercise, stub []byte) {
	ref, err := readNames(r.Tree.Path(e.Solution()))
	if err != nil {
		r.report.fail(e.Solution(), "write it", "exercise %s has no reference: %v", e.ID, err)
		return
	}
	tmp, err := r.Tree.Keep(stub)
	if err != nil {
		return
	}
	have, err := readNames(tmp)
	if err != nil {
		r.report.fail(e.File, "", "the stub does not parse: %v", err)
		return
	}
	for n := range ref {
		local := n[strings.LastIndexByte(n, '.')+1:]
		if !have[n] && !strings.HasPrefix(local, "ref") {
			r.report.fail(e.Solution(), "give it the prefix ref, or declare it in a given file", "adds the top-level name %s, which a reader's own may collide with", n)
		}
	}
	for n := range have {
		if !ref[n] {
			r.report.fail(e.Solution(), "", "lacks %s of the stub", n)
		}
	}
}
