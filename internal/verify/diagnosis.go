package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
)

// DiagnosisFile says which tests each mistake fails. It is written from what was
// seen (lab dev gen, or verify's Update) and read by ./lab test.
const DiagnosisFile = "solutions/mistakes.json"

// A Mistake is one entry of DiagnosisFile, listed under its exercise.
type Mistake struct {
	Name   string   `json:"name"`
	Phrase string   `json:"phrase"`
	Fails  []string `json:"fails"` // in the order in which they run
}

type diagnosis struct {
	mu     sync.Mutex
	byID   map[string][]Mistake
	partly map[string]bool // some of its tests could not run here
}

func newDiagnosis() *diagnosis {
	return &diagnosis{byID: map[string][]Mistake{}, partly: map[string]bool{}}
}

// add is called by each judgement, so the last one counts.
func (d *diagnosis) add(v variant, fails []string, partly bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.DeleteFunc(d.byID[v.e.ID], func(m Mistake) bool { return m.Name == v.name })
	list = append(list, Mistake{v.name, v.says, fails})
	slices.SortFunc(list, func(a, b Mistake) int { return cmp.Compare(a.Name, b.Name) })
	d.byID[v.e.ID] = list
	d.partly[v.file] = partly
}

// diagnosis compares DiagnosisFile with what was seen, or writes it. What this
// machine could not see stays as it is, and so do tests that another user or
// machine saw fail, unless all is to be seen afresh.
func (r *run) diagnosis(seen *diagnosis) error {
	kept := map[string][]Mistake{}
	data, err := os.ReadFile(r.Tree.Path(DiagnosisFile))
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.report.fail(DiagnosisFile, "./lab dev gen", "cannot be read: %v", err)
		return nil
	}
	fresh := map[string][]Mistake{}
	for _, e := range r.Exercises {
		vs, err := r.variants(e, "mistakes", "Mistake")
		if err != nil {
			return err
		}
		for _, v := range vs {
			old, had := lookup(kept[e.ID], v.name)
			now, have := lookup(seen.byID[e.ID], v.name)
			switch {
			case !had && !have:
				continue
			case !have, had && old.Phrase == v.says && subset(now.Fails, old.Fails) && (seen.partly[v.file] || !r.o.Fresh):
				now = old
			}
			fresh[e.ID] = append(fresh[e.ID], now)
		}
	}
	want, err := json.MarshalIndent(fresh, "", "  ")
	if err != nil {
		return err
	}
	want = append(want, '\n')
	switch {
	case bytes.Equal(data, want):
		r.report.pass(1)
	case r.o.Update:
		r.report.pass(1)
		r.report.note(DiagnosisFile, "", "written")
		return os.WriteFile(r.Tree.Path(DiagnosisFile), want, 0o644)
	default:
		r.compare(kept, fresh)
	}
	return nil
}

// compare: names and phrases must agree; which tests fail may differ a little
// from machine to machine, since some tests see more on one than on another.
func (r *run) compare(kept, fresh map[string][]Mistake) {
	var stale, other []string
	for _, e := range r.Exercises {
		same := func(a, b Mistake) bool { return a.Name == b.Name && a.Phrase == b.Phrase }
		if !slices.EqualFunc(kept[e.ID], fresh[e.ID], same) {
			stale = append(stale, e.ID)
		} else if a, b := kept[e.ID], fresh[e.ID]; !slices.EqualFunc(a, b, func(a, b Mistake) bool { return slices.Equal(a.Fails, b.Fails) }) {
			other = append(other, e.ID)
		}
	}
	if len(stale) > 0 || len(kept) > len(fresh) {
		r.report.fail(DiagnosisFile, "./lab verify --update writes it", "does not list the mistakes of %s", strings.Join(stale, ", "))
		return
	}
	if len(other) > 0 {
		r.report.note(DiagnosisFile, "if it is not this machine: ./lab verify --update", "mistakes of %s fail other tests here", strings.Join(other, ", "))
	}
	r.report.pass(1)
}

func lookup(ms []Mistake, name string) (Mistake, bool) {
	for _, m := range ms {
		if m.Name == name {
			return m, true
		}
	}
	return Mistake{}, false
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// belongs says whether a path below solutions/ has a row.
func (w Workshop) belongs(rel string) bool {
	switch rel {
	case "solutions/overlay.json", "solutions/stubs.txtar", DiagnosisFile, "solutions/README.md":
		return true
	}
	for _, e := range w.Exercises {
		if rel == e.Solution() || rel == e.HintFile() {
			return true
		}
		for _, kind := range []string{"mistakes", "alternatives"} {
			if ok, _ := path.Match("solutions/"+kind+"/"+e.ID+"/*.go", rel); ok {
				return true
			}
		}
	}
	return false
}
