package build

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"

	images "coracle/03-images"
)

// unpack unpacks what ADD is given into the folder dest, if it is a tar archive,
// packed or not. It returns false for any other file.
//
// The archive is unpacked as a layer is, with the same refusals; a name in it that
// would be a whiteout is refused as well.
func (p *placer) unpack(ctx context.Context, t *Tree, src Source, dir, dest string) (bool, error) {
	e, err := t.entry(src.at, src.Name)
	if err != nil || !e.Mode.IsRegular() {
		return false, err
	}
	if is, err := isArchive(t, e); err != nil || !is {
		return false, err
	}
	at, err := mkdirAll(p.root, dest, func(name string) error {
		return p.attributes(name, Entry{Mode: 0o755}, false)
	})
	if err != nil {
		return true, err
	}
	p.seen.note(e)
	r, err := p.seen.open(t)(e)
	if err != nil {
		return true, err
	}
	defer r.Close()
	plain, err := decompress(r)
	if err != nil {
		return true, err
	}
	tarR, tarW := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tarW.CloseWithError(p.rewrite(plain, tarW))
	}()
	_, err = images.Apply(ctx, tarR, filepath.Join(dir, at), images.ApplyOptions{Owners: p.owners, Plain: true})
	tarR.CloseWithError(io.ErrClosedPipe)
	<-done
	plain.Close()
	if err == nil {
		_, err = io.Copy(io.Discard, r) // to the end, as for the key
	}
	return true, err
}

// isArchive says whether a file begins with an entry of a tar archive.
func isArchive(t *Tree, e Entry) (bool, error) {
	r, err := t.Open(e)
	if err != nil {
		return false, err
	}
	defer r.Close()
	plain, err := decompress(r)
	if err != nil {
		return false, nil // begins like something packed, and is not
	}
	defer plain.Close()
	_, err = tar.NewReader(plain).Next()
	return err == nil, nil
}

// decompress undoes gzip, zstd, bzip2 or xz, as the first bytes say.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	first, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(first, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(b)), nil
	case bytes.HasPrefix(first, []byte("\xfd7zXZ\x00")):
		x, err := xz.NewReader(b)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	}
	return images.Decompress("", b)
}

// rewrite copies an archive, with --chown in its headers, also in those of links. Of
// --chmod its files know nothing (BuildKit, solver/llbsolver/file/unpack.go, which before
// v0.23 left the owners alone, too).
func (p *placer) rewrite(r io.Reader, w io.Writer) error {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return err
		}
		h.Name = strings.TrimLeft(h.Name, "/")
		if strings.Contains("/"+h.Name, "/.wh.") {
			return fmt.Errorf("%q: no image can hold a file called .wh.…", h.Name)
		}
		if h.Name == "" || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		h.Format = tar.FormatUnknown
		if p.owner != nil {
			h.Uid, h.Gid, h.Uname, h.Gname = p.owner.uid, p.owner.gid, "", ""
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
