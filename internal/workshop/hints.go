package workshop

import (
	"fmt"
	"os"
	"strings"

	"coracle/internal/exercise"
)

// Hints returns an exercise's hints, the texts below the headings "## 1" to "## 3".
func (t *Tree) Hints(e exercise.Exercise) ([]string, error) {
	data, err := os.ReadFile(t.Path(e.HintFile()))
	if err != nil {
		return nil, fmt.Errorf("exercise %s has no hints: %w", e.ID, err)
	}
	var hints []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "## ") {
			hints = append(hints, "")
		} else if len(hints) > 0 {
			hints[len(hints)-1] += line
		}
	}
	for i := range hints {
		hints[i] = strings.Trim(hints[i], "\n")
	}
	if len(hints) == 0 {
		return nil, fmt.Errorf("%s has no heading \"## 1\"", e.HintFile())
	}
	return hints, nil
}

// NextHint chooses the hint to show, counted from 1: the one for the test that
// failed last, the next one if that was shown for it already.
func (a *Attempt) NextHint(e exercise.Exercise, of int) int {
	first := 1
	for _, r := range e.Rungs {
		if r.Test == a.Test && r.Hint > 0 {
			first = r.Hint
		}
	}
	if a.Hint > 0 && a.HintFor == a.Test {
		first = a.Hint + 1
	}
	return min(first, of)
}
