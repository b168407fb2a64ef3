package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"coracle/internal/git"
	"coracle/internal/workshop"
)

// A Report is what an update did.
type Report struct {
	From, To string // short commits; equal if there was nothing new
	Changed  int    // files
	Stubs    []Stub // of exercises that the reader wrote
	Kept     []string
	Backups  []string // of exercises that are no more
}

// A Stub is one that changed below what the reader wrote.
type Stub struct{ File, Diff string }

// Run takes the workshop of a remote (origin, or upstream if there is one), or
// of from: a URL, a folder, a remote or a commit.
func Run(ctx context.Context, t *workshop.Tree, from string) (*Report, error) {
	repo, err := git.Open(ctx, t.Root)
	if err != nil {
		return nil, err
	}
	if err := repo.CanCommit(ctx); err != nil {
		return nil, err
	}
	theirs, err := fetch(ctx, repo, from)
	if err != nil {
		return nil, err
	}
	u := &updater{t: t, repo: repo, theirs: theirs, rep: &Report{}}
	if u.ours, err = repo.Run(ctx, "rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	if u.rep.From, err = repo.Run(ctx, "rev-parse", "--short", u.ours); err != nil {
		return nil, err
	}
	if _, err := repo.Run(ctx, "merge-base", "--is-ancestor", theirs, u.ours); err == nil {
		u.rep.To = u.rep.From
		return u.rep, nil
	}
	return u.rep, u.run(ctx)
}

// fetch returns the commit to update to.
func fetch(ctx context.Context, repo *git.Repo, from string) (string, error) {
	remotes, err := repo.Run(ctx, "remote")
	if err != nil {
		return "", err
	}
	names := strings.Fields(remotes)
	if from == "" {
		switch {
		case slices.Contains(names, "upstream"):
			from = "upstream"
		case slices.Contains(names, "origin"):
			from = "origin"
		default:
			return "", errors.New("this checkout has no remote to update from: ./lab update --from URL, or: git remote add upstream URL")
		}
	}
	fi, statErr := os.Stat(from)
	switch {
	case slices.Contains(names, from), strings.Contains(from, ":"), statErr == nil && fi.IsDir():
		if _, err := repo.Run(ctx, "fetch", "-q", "--no-tags", from, "HEAD"); err != nil {
			return "", fmt.Errorf("fetch the workshop from %s: %w", from, err)
		}
		return repo.Run(ctx, "rev-parse", "--verify", "FETCH_HEAD^{commit}")
	}
	commit, err := repo.Run(ctx, "rev-parse", "--verify", "-q", from+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("--from %s is no folder, URL, remote or commit", from)
	}
	return commit, nil
}

type updater struct {
	t            *workshop.Tree
	repo         *git.Repo
	ours, theirs string
	rep          *Report
	old, new     map[string][]byte // stubs by file
	dirty        map[string]string // what is not committed
	drop         []string          // exercises that are no more
}

func (u *updater) run(ctx context.Context) error {
	if err := u.readStubs(ctx); err != nil {
		return err
	}
	if err := u.refuseUnsaved(ctx); err != nil {
		return err
	}
	tree, err := u.tree(ctx)
	if err != nil {
		return err
	}
	message := "Update the workshop to " + u.theirs[:12]
	commit, err := u.repo.Run(ctx, "commit-tree", tree, "-p", u.ours, "-p", u.theirs, "-m", message)
	if err != nil {
		return err
	}
	if err := u.compareStubs(ctx); err != nil {
		return err
	}
	for _, file := range u.drop {
		if err := u.backup(file); err != nil {
			return err
		}
	}
	// Two trees and -u: git refuses to overwrite what differs from the first.
	if _, err := u.repo.Run(ctx, "read-tree", "-m", "-u", u.ours, commit); err != nil {
		return fmt.Errorf("nothing is changed, files are in the way (./lab save keeps exercises): %w", err)
	}
	if _, err := u.repo.Run(ctx, "update-ref", "-m", message, "HEAD", commit, u.ours); err != nil {
		return err
	}
	names, err := u.repo.Run(ctx, "diff", "--name-only", "--no-renames", u.ours, commit)
	if err != nil {
		return err
	}
	u.rep.Changed = len(strings.Fields(names))
	u.rep.To, err = u.repo.Run(ctx, "rev-parse", "--short", u.theirs)
	return err
}

func (u *updater) readStubs(ctx context.Context) error {
	read := func(commit string) (map[string][]byte, error) {
		text, err := u.repo.Run(ctx, "cat-file", "blob", commit+":"+workshop.StubsFile)
		if err != nil {
			return nil, fmt.Errorf("%.12s is no workshop of this kind: %w", commit, err)
		}
		stubs := map[string][]byte{}
		for _, f := range txtar.Parse([]byte(text + "\n")).Files {
			stubs[f.Name] = f.Data
		}
		return stubs, nil
	}
	var err error
	if u.old, err = read(u.ours); err != nil {
		return err
	}
	u.new, err = read(u.theirs)
	return err
}

// exercise says whether a path is an exercise's file, before or after.
func (u *updater) exercise(file string) bool { return u.old[file] != nil || u.new[file] != nil }

// written says whether the reader's file is more than the old stub, on disk or
// in the last commit.
func (u *updater) written(file string) (bool, error) {
	src, err := os.ReadFile(u.t.Path(file))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && (u.dirty[file] != "" || !bytes.Equal(src, u.old[file])), err
}

func (u *updater) refuseUnsaved(ctx context.Context) error {
	changed, err := u.repo.Changed(ctx) // this also refreshes the index
	if err != nil {
		return err
	}
	u.dirty = changed
	var unsaved []string
	for file, letters := range changed {
		// An untracked file is in nobody's way, or read-tree refuses.
		if letters != "??" && !u.exercise(file) {
			unsaved = append(unsaved, file)
		}
		if letters[0] != ' ' && letters != "??" && u.exercise(file) {
			return fmt.Errorf("%s is staged: save it with ./lab save, or: git restore --staged %s", file, file)
		}
	}
	if len(unsaved) == 0 {
		return nil
	}
	slices.Sort(unsaved)
	return fmt.Errorf("changes outside the exercises are not committed: %s; keep them with: git commit -m \"mine\" -- %s, or put them aside with: git stash",
		strings.Join(unsaved, " "), strings.Join(unsaved, " "))
}

func (u *updater) backup(file string) error {
	src, err := os.ReadFile(u.t.Path(file))
	if err != nil {
		return err
	}
	kept, err := u.t.Backup(file, src)
	u.rep.Backups = append(u.rep.Backups, kept)
	return err
}
