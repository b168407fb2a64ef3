package verify

import (
	"context"
	"os"
	"regexp"
	"slices"

	"coracle/internal/workshop"
)

// yours: what the reader has written passes, the rest borrowed.
func (r *run) yours(ctx context.Context) error {
	layer, mine, err := r.readers()
	if err != nil || len(mine) == 0 {
		return err
	}
	return r.whole(ctx, layer, "with what you wrote", false, "./lab test shows it exercise by exercise")
}

// readers is the reader's build: their files, the reference for what is unwritten.
func (r *run) readers() (l workshop.Layer, mine []string, err error) {
	l = workshop.Layer{}
	for _, e := range r.Exercises {
		src, err := os.ReadFile(r.Tree.Path(e.File))
		if err != nil || workshop.HasMark(src, e.ID) {
			l[e.File] = r.Tree.Path(e.Solution())
		} else if r.o.Chapter == 0 || r.o.Chapter == e.Chapter() {
			mine = append(mine, e.ID)
		}
	}
	return l, mine, nil
}

// given: the tests of what belongs to no chapter.
func (r *run) given(ctx context.Context) error {
	if r.o.Chapter != 0 {
		return nil
	}
	layer, _, err := r.readers()
	if err != nil {
		return err
	}
	var dirs []string
	var jobs []job
	whole := ""
	for _, dir := range r.src.dirs() {
		if r.chapterOf(dir) != 0 {
			continue
		}
		dirs = append(dirs, dir)
		if r.src.hasTests(dir) {
			j := job{dir: dir, where: dir, name: dir, judge: judgePass("its tests", false, "")}
			if r.looksAround(dir) {
				if whole == "" {
					whole = r.src.whole(r.reference()) // a reader's edit concerns only who links it
				}
				j.extra = whole
			}
			jobs = append(jobs, j)
		}
	}
	if err := r.vetDirs(ctx, dirs, layer, "given code"); err != nil {
		return err
	}
	r.o.Timeout *= 4 // some boot machines or verify workshops of their own
	return r.do(ctx, layer, jobs)
}

// around is how a package's code or test reaches for files outside its folder.
var around = regexp.MustCompile("\"\\.\\.[\"/]|workshop\\.Find\\(|`\\.\\./")

// looksAround says whether a package's result may hang on the whole tree.
func (r *run) looksAround(dir string) bool {
	return slices.ContainsFunc(r.src.files[dir], func(f string) bool {
		src, err := os.ReadFile(r.Tree.Path(f))
		return err != nil || around.Match(src)
	})
}
