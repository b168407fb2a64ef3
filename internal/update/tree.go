package update

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"

	"coracle/internal/git"
)

// tree makes the tree to switch to, in git's objects only.
//
// A merge of ours and theirs would conflict in every exercise that was written
// and whose stub changed. So ours is given theirs' exercises first, everything
// else is merged, and then each exercise gets what it is to hold.
func (u *updater) tree(ctx context.Context) (string, error) {
	base, err := u.repo.Run(ctx, "merge-base", u.ours, u.theirs)
	if err != nil || base == "" {
		return "", fmt.Errorf("this checkout and %.12s have no common history: if it is a shallow clone, git fetch --unshallow; if it began as an archive, clone the workshop anew and copy your exercises there", u.theirs)
	}
	ours, theirs, merged := u.list(ctx, u.ours), u.list(ctx, u.theirs), map[string]string{}
	if ours == nil || theirs == nil {
		return "", fmt.Errorf("git ls-tree of %.12s and %.12s failed", u.ours, u.theirs)
	}
	files := u.exercises()
	for _, file := range files {
		merged[file] = theirs[file]
	}
	tree, err := u.with(ctx, u.ours, merged)
	if err != nil {
		return "", err
	}
	disguised, err := u.repo.Run(ctx, "commit-tree", tree, "-p", u.ours, "-m", "ours, with their exercises")
	if err != nil {
		return "", err
	}
	out, err := u.repo.Run(ctx, "merge-tree", "--write-tree", "--name-only", "--no-messages", disguised, u.theirs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	switch {
	case err != nil && strings.Contains(err.Error(), "usage:"):
		return "", fmt.Errorf("this git is too old for update, which needs 2.38 or newer")
	case err != nil && len(lines) > 1:
		return "", fmt.Errorf("you and the new workshop changed the same lines of %s: nothing is changed; take theirs first with: git checkout %.12s -- %s && git commit -m \"theirs\", or merge by hand with: git merge %.12s",
			strings.Join(lines[1:], " "), u.theirs, strings.Join(lines[1:], " "), u.theirs)
	case err != nil:
		return "", err
	}
	final := map[string]string{}
	for _, file := range files {
		written, err := u.written(file)
		if err != nil {
			return "", err
		}
		switch {
		case !written:
			final[file] = theirs[file]
		case u.new[file] == nil:
			final[file] = ""
			u.drop = append(u.drop, file)
		default:
			final[file] = ours[file]
			u.rep.Kept = append(u.rep.Kept, file)
		}
	}
	return u.with(ctx, lines[0], final)
}

func (u *updater) exercises() []string {
	all := maps.Clone(u.old)
	maps.Copy(all, u.new)
	return slices.Sorted(maps.Keys(all))
}

// list maps the paths of a commit to "MODE OBJECT".
func (u *updater) list(ctx context.Context, commit string) map[string]string {
	out, err := u.repo.Run(ctx, "ls-tree", "-r", "-z", commit)
	if err != nil {
		return nil
	}
	files := map[string]string{}
	for entry := range strings.SplitSeq(out, "\x00") {
		if meta, path, ok := strings.Cut(entry, "\t"); ok {
			f := strings.Fields(meta)
			files[path] = f[0] + " " + f[2]
		}
	}
	return files
}

// with writes a tree that differs from another in these paths: "MODE OBJECT", or
// "" for a path that is to be gone. It uses an index of its own.
func (u *updater) with(ctx context.Context, treeish string, paths map[string]string) (string, error) {
	dir, err := os.MkdirTemp("", "lab-update-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	aside := &git.Repo{Dir: u.repo.Dir, Env: append(slices.Clone(u.repo.Env), "GIT_INDEX_FILE="+dir+"/index")}
	if _, err := aside.Run(ctx, "read-tree", treeish); err != nil {
		return "", err
	}
	var in strings.Builder
	for path, entry := range paths {
		if entry == "" {
			entry = "0 " + strings.Repeat("0", len(u.ours))
		}
		fmt.Fprintf(&in, "%s\t%s\x00", entry, path)
	}
	if _, err := aside.RunInput(ctx, []byte(in.String()), "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	return aside.Run(ctx, "write-tree")
}

// compareStubs keeps the difference of each stub that changed below the
// reader's work.
func (u *updater) compareStubs(ctx context.Context) error {
	for _, file := range u.rep.Kept {
		if u.old[file] == nil || string(u.old[file]) == string(u.new[file]) {
			continue
		}
		old, err := u.t.Keep(u.old[file])
		if err != nil {
			return err
		}
		now, err := u.t.Keep(u.new[file])
		if err != nil {
			return err
		}
		// Status 1 says that they differ.
		diff, _ := u.repo.Run(ctx, "diff", "--no-index", "--no-color", "--no-prefix", "--", old, now)
		if i := strings.Index(diff, "\n@@"); i > 0 {
			diff = strings.TrimRightFunc(diff[i+1:], unicode.IsSpace)
		}
		u.rep.Stubs = append(u.rep.Stubs, Stub{file, diff})
	}
	return nil
}
