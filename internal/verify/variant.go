package verify

import (
	"os"
	"path"
	"strings"

	"coracle/internal/exercise"
)

// A variant is one file below solutions/mistakes or solutions/alternatives.
type variant struct {
	e                exercise.Exercise
	name, file, says string
}

// variants reads those of an exercise; the first line says what they are.
func (w Workshop) variants(e exercise.Exercise, kind, heading string) (vs []variant, err error) {
	dir := path.Join("solutions", kind, e.ID)
	files, err := os.ReadDir(w.Tree.Path(dir))
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, f := range files {
		src, err := os.ReadFile(w.Tree.Path(path.Join(dir, f.Name())))
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(string(src), "\n")
		says, _ := strings.CutPrefix(first, "// "+heading+":")
		if says == first {
			says = ""
		}
		vs = append(vs, variant{e, strings.TrimSuffix(f.Name(), ".go"), path.Join(dir, f.Name()), strings.TrimSpace(says)})
	}
	return vs, err
}
