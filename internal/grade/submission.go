package grade

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
)

// maxFile is how large an exercise's file may be; references are a tenth of it.
const maxFile = 256 << 10

// A Submission is the exercise files of one person, and nothing else of theirs.
type Submission map[string]Taken

// Taken is one file, or why it was not taken.
type Taken struct {
	Data []byte
	Err  error
}

// Take reads the files from a directory, a git repository (at ref, if given), or
// a tar, tar.gz or zip archive, below any one top folder. Links are not followed.
func Take(ctx context.Context, from, ref string, files []string) (Submission, error) {
	fi, err := os.Stat(from)
	switch {
	case err != nil:
		return nil, err
	case ref != "":
		return takeGit(ctx, from, ref, files)
	case fi.IsDir():
		if _, err := os.Stat(path.Join(from, "go.mod")); err != nil {
			if _, err := os.Stat(path.Join(from, "objects")); err == nil {
				return takeGit(ctx, from, "HEAD", files) // a bare repository
			}
		}
		return takeDir(from, files)
	case strings.HasSuffix(from, ".zip"):
		return takeZip(from, files)
	}
	return takeTar(from, files)
}

func takeDir(from string, files []string) (Submission, error) {
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s := Submission{}
	for _, name := range files {
		fi, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !fi.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", name)
		}
		if err != nil {
			s[name] = Taken{Err: err}
			continue
		}
		f, err := root.Open(name)
		if err != nil {
			s[name] = Taken{Err: err}
			continue
		}
		s[name] = limited(name, f)
		f.Close()
	}
	return s, nil
}

func limited(name string, r io.Reader) Taken {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d KB", name, maxFile>>10)
	}
	if err != nil {
		return Taken{Err: err}
	}
	return Taken{Data: data}
}

// takeGit reads blobs as they are stored: no filter of the repository runs.
func takeGit(ctx context.Context, from, ref string, files []string) (Submission, error) {
	git := func(args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "git", append([]string{"-C", from}, args...)...).Output()
	}
	if strings.HasPrefix(ref, "-") {
		return nil, fmt.Errorf("%q is no git revision", ref)
	}
	if _, err := git("rev-parse", "--verify", "--quiet", ref+"^{commit}"); err != nil {
		return nil, fmt.Errorf("%s has no commit %s (is it a git repository of this user?): %w", from, ref, err)
	}
	s := Submission{}
	for _, name := range files {
		entry, err := git("ls-tree", ref, "--", name)
		if err != nil {
			return nil, fmt.Errorf("git ls-tree %s: %w", ref, err)
		}
		f := strings.Fields(string(entry))
		if len(f) < 3 {
			continue
		}
		if f[0] != "100644" && f[0] != "100755" {
			s[name] = Taken{Err: fmt.Errorf("%s is no regular file", name)}
			continue
		}
		data, err := git("cat-file", "blob", f[2])
		if err != nil {
			return nil, fmt.Errorf("git cat-file %s: %w", name, err)
		}
		s[name] = limited(name, strings.NewReader(string(data)))
	}
	return s, nil
}

// A picker finds the wanted files below whatever top folder an archive has; the
// entry nearest to the top counts.
type picker struct {
	files []string
	depth map[string]int
	s     Submission
}

func (p *picker) offer(name string, regular bool, open func() (io.ReadCloser, error)) {
	name = path.Clean(name)
	for _, want := range p.files {
		if name != want && !strings.HasSuffix(name, "/"+want) {
			continue
		}
		d := strings.Count(name, "/")
		if old, ok := p.depth[want]; ok && old <= d {
			continue
		}
		p.depth[want] = d
		if !regular {
			p.s[want] = Taken{Err: fmt.Errorf("%s is no regular file", want)}
			continue
		}
		r, err := open()
		if err != nil {
			p.s[want] = Taken{Err: err}
			continue
		}
		p.s[want] = limited(want, r)
		r.Close()
	}
}

func takeTar(from string, files []string) (Submission, error) {
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	var r io.Reader = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		r = z
	}
	p := picker{files, map[string]int{}, Submission{}}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return p.s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no directory, git repository, tar or zip archive: %w", from, err)
		}
		if h.Typeflag != tar.TypeDir {
			p.offer(h.Name, h.Typeflag == tar.TypeReg, func() (io.ReadCloser, error) { return io.NopCloser(t), nil })
		}
	}
}

func takeZip(from string, files []string) (Submission, error) {
	z, err := zip.OpenReader(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	defer z.Close()
	p := picker{files, map[string]int{}, Submission{}}
	for _, f := range z.File {
		if !f.FileInfo().IsDir() {
			p.offer(f.Name, f.Mode().IsRegular(), f.Open)
		}
	}
	return p.s, nil
}
