package verify

import (
	"path"
	"strings"

	"coracle/internal/exercise"
)

// chapterOf returns the number of the chapter whose folder holds dir, 0 for none.
func (w Workshop) chapterOf(dir string) int {
	for _, c := range w.Chapters {
		if dir == c.Dir || strings.HasPrefix(dir, c.Dir+"/") {
			return c.N
		}
	}
	return 0
}

func (w Workshop) find(id string) (exercise.Exercise, bool) {
	for _, e := range w.Exercises {
		if e.ID == id {
			return e, true
		}
	}
	return exercise.Exercise{}, false
}

// page is the chapter's page of the book.
func (w Workshop) page(e exercise.Exercise) string {
	for _, c := range w.Chapters {
		if c.N == e.Chapter() {
			return "chapters/" + c.Dir + ".md"
		}
	}
	return "chapters/"
}

// testFile is where the rungs of an exercise are.
func testFile(e exercise.Exercise) string {
	return strings.TrimSuffix(e.File, path.Ext(e.File)) + "_test.go"
}
