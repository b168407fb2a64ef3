package trial

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strings"

	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// MistakesFile is written by verify: which tests each known mistake fails.
const MistakesFile = "solutions/mistakes.json"

// A Mistake is one wrong version that readers really write.
type Mistake struct {
	Name   string   `json:"name"`
	Phrase string   `json:"phrase"` // the misconception, as its test words it
	Fails  []string `json:"fails"`
}

// diagnose names the known mistake that a failure looks like: the one whose
// phrase is in the output; of several the one that fails the same tests. That the
// same tests fail is not enough: readers err in more ways than are known.
func diagnose(t *workshop.Tree, tr *Trial) string {
	data, err := os.ReadFile(t.Path(MistakesFile))
	if err != nil {
		return ""
	}
	var known map[string][]Mistake
	if json.Unmarshal(data, &known) != nil {
		return ""
	}
	var output strings.Builder
	var fails []string
	for _, r := range tr.Rungs {
		if r.Hangs { // it failed by what it did not reach; mistakes that wait have deadlines
			return ""
		}
		if r.Outcome == gotest.Fail || r.Outcome == gotest.Unended {
			output.WriteString(r.Output)
			fails = append(fails, r.Test)
		}
	}
	if strings.Contains(output.String(), "is not written yet: exercise ") {
		return ""
	}
	slices.Sort(fails)
	best := ""
	for _, m := range known[tr.Exercise.ID] {
		if m.Phrase == "" || !strings.Contains(output.String(), m.Phrase) {
			continue
		}
		if slices.Sort(m.Fails); slices.Equal(m.Fails, fails) {
			return m.Phrase
		}
		best = cmp.Or(best, m.Phrase)
	}
	return best
}
