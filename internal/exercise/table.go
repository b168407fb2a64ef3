package exercise

import (
	"fmt"
	"path"
	"strings"
)

// An Exercise is one row of the workshop's one table.
type Exercise struct {
	ID         string   // "1.2": chapter, then place in it
	Title      string   // lower case, as in the chapter's list
	File       string   // slash path below the module root; the reference has the same below solutions/
	Minutes    int      // an estimate for a person, until readers report theirs
	Difficulty int      // 1 easy, 2 medium, 3 hard
	Points     int      // what grading gives for all rungs green
	Needs      []string // exercises whose code this one calls or whose idea it stands on
	Anchor     string   // heading in the chapter's page, as a fragment without #
	Rungs      []Rung   // in the order in which they turn green
}

// A Rung is one step of an exercise: one top-level test function.
type Rung struct {
	Test string // "TestCloneFlags_OneEach"
	Says string // what is true once it is green, in a few words
	Hint int    // the first hint that helps when it fails: 1, 2 or 3
}

// A Chapter is one folder and its page of the book.
type Chapter struct {
	N     int
	Dir   string // "01-namespaces"
	Title string
	Kind  string // what its tests need: "kernel" or "pure"
}

// All returns every exercise in the order of the book.
func All() []Exercise {
	var all []Exercise
	for _, chapter := range rows {
		all = append(all, chapter...)
	}
	return all
}

// Find returns the exercise with this ID.
func Find(id string) (Exercise, bool) {
	for _, e := range All() {
		if e.ID == id {
			return e, true
		}
	}
	return Exercise{}, false
}

// Of returns the exercises of one chapter.
func Of(chapter int) []Exercise {
	var of []Exercise
	for _, e := range All() {
		if e.Chapter() == chapter {
			of = append(of, e)
		}
	}
	return of
}

// Chapter returns the number before the dot.
func (e Exercise) Chapter() int {
	var n int
	fmt.Sscanf(e.ID, "%d.", &n)
	return n
}

// Dir returns the package's folder below the module root.
func (e Exercise) Dir() string { return path.Dir(e.File) }

// Page returns where to read: "chapters/01-namespaces.md#11-clone-flags".
func (e Exercise) Page() string {
	for _, c := range Chapters() {
		if c.N == e.Chapter() {
			return "chapters/" + c.Dir + ".md#" + e.Anchor
		}
	}
	return "chapters/"
}

// Solution returns the reference's path below the module root.
func (e Exercise) Solution() string { return "solutions/" + e.File }

// HintFile returns where the three hints are, under the headings "## 1" to "## 3".
func (e Exercise) HintFile() string { return "solutions/hints/" + e.ID + ".md" }

// RungLetter names the rung of a test, "a" for the first; "" if the test is no rung.
func (e Exercise) RungLetter(test string) string {
	name, _, _ := strings.Cut(test, "/")
	for i, r := range e.Rungs {
		if r.Test == name {
			return string(rune('a' + i))
		}
	}
	return ""
}
