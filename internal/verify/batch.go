package verify

import (
	"slices"

	"coracle/internal/exercise"
)

// batches puts jobs together whose exercises do not stand on each other; whole
// packages stay alone.
func (r *run) batches(jobs []job) [][]job {
	var all [][]job
next:
	for _, j := range jobs {
		if j.e.ID != "" {
			for i, b := range all {
				if !slices.ContainsFunc(b, func(o job) bool { return o.e.ID == "" || o.dir != j.dir || r.kin(o.e, j.e) }) {
					all[i] = append(b, j)
					continue next
				}
			}
		}
		all = append(all, []job{j})
	}
	return all
}

// kin says whether one of two exercises stands on the other: by the table, by
// what its tests need, or because its reference calls the other's.
func (r *run) kin(a, b exercise.Exercise) bool {
	if r.kinship == nil {
		r.kinship = r.standsOn()
	}
	return a.ID == b.ID || r.kinship[a.ID][b.ID] || r.kinship[b.ID][a.ID]
}

// standsOn is the transitive closure.
func (r *run) standsOn() map[string]map[string]bool {
	on := map[string]map[string]bool{}
	for _, e := range r.Exercises {
		on[e.ID] = map[string]bool{}
		for _, id := range e.Needs {
			on[e.ID][id] = true
		}
		tests, _ := readTests(r.Tree.Path(testFile(e)))
		for _, t := range tests {
			if len(t.needs) > 0 && t.needs[0] == e.ID {
				for _, id := range t.needs {
					on[e.ID][id] = true
				}
			}
		}
		used := identifiers(r.Tree.Path(e.Solution()))
		for _, o := range r.Exercises {
			if o.Dir() != e.Dir() {
				continue
			}
			names, _ := readNames(r.Tree.Path(o.Solution()))
			for n := range names {
				if used[n] {
					on[e.ID][o.ID] = true
				}
			}
		}
	}
	for range on {
		for a := range on {
			for b := range on[a] {
				for c := range on[b] {
					on[a][c] = true
				}
			}
		}
	}
	return on
}
