// Package git runs git in the reader's checkout, for save and update.
//
// It asks git for everything and reads only what git promises to scripts
// (plumbing, --porcelain, -z). What can go wrong before anything is done is
// said with the command that puts it right.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A Repo is the repository that a checkout is in.
type Repo struct {
	Dir string   // the checkout's root
	Env []string // added to the environment
}

// Open looks for git and for a repository whose top is dir.
func Open(ctx context.Context, dir string) (*Repo, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errors.New("git is not installed: apt-get install git, or: dnf install git")
	}
	r := &Repo{Dir: dir, Env: []string{"LC_ALL=C"}}
	// --show-prefix is empty at the top, whatever symbolic links lead there.
	prefix, err := r.Run(ctx, "rev-parse", "--show-prefix")
	switch {
	case err != nil && strings.Contains(err.Error(), "dubious ownership"):
		return nil, fmt.Errorf("%s belongs to somebody else, and git refuses: git config --global --add safe.directory %s", dir, dir)
	case err != nil || prefix != "":
		return nil, fmt.Errorf("%s is not the top of a git repository: git init && git add . && git commit -m start", dir)
	}
	if _, err := r.Run(ctx, "rev-parse", "--verify", "-q", "HEAD"); err != nil {
		return nil, errors.New("the repository has no commit yet: git add . && git commit -m start")
	}
	return r, nil
}

// CanCommit says what keeps a commit from being made.
func (r *Repo) CanCommit(ctx context.Context) error {
	for _, who := range []string{"GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"} {
		if _, err := r.Run(ctx, "-c", "user.useConfigOnly=true", "var", who); err != nil {
			return errors.New(`git does not know who you are: git config --global user.name "Your Name" && git config --global user.email you@example.org`)
		}
	}
	for _, busy := range []string{"MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"} {
		path, err := r.Run(ctx, "rev-parse", "--git-path", busy)
		if err != nil {
			return err
		}
		if _, err := os.Stat(r.path(path)); err == nil {
			return errors.New("git is in the middle of a merge or rebase: end it first, git status says how")
		}
	}
	return nil
}

func (r *Repo) path(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return r.Dir + "/" + p
}

// Changed lists what git status lists, below the given paths or everywhere:
// path → its two letters ("??" for an untracked file).
func (r *Repo) Changed(ctx context.Context, paths ...string) (map[string]string, error) {
	out, err := r.Run(ctx, append([]string{"status", "--porcelain", "-z", "--no-renames", "--"}, paths...)...)
	if err != nil {
		return nil, err
	}
	changed := map[string]string{}
	for entry := range strings.SplitSeq(out, "\x00") {
		if len(entry) > 3 {
			changed[entry[3:]] = entry[:2]
		}
	}
	return changed, nil
}

// Run returns what git printed, without the newline at its end.
func (r *Repo) Run(ctx context.Context, args ...string) (string, error) {
	return r.RunInput(ctx, nil, args...)
}

// RunInput is Run with something on stdin. The error holds git's own words on
// one line.
func (r *Repo) RunInput(ctx context.Context, in []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = r.Dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), r.Env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		words := strings.Join(strings.Fields(said.String()), " ")
		if words == "" {
			words = err.Error()
		}
		return out.String(), fmt.Errorf("git %s: %s", args[0], strings.TrimPrefix(words, "fatal: "))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}
