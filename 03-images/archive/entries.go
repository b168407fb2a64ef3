package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	images "coracle/03-images"
)

const (
	maxEntries = 100_000
	maxLinks   = 8
	maxText    = images.MaxManifest // of a file that is read as a whole
)

// An entries is an archive as a folder to read in: which file's bytes are where.
type entries struct {
	f     *os.File
	at    map[string]span
	links map[string]string
	close func()
}

type span struct{ offset, size int64 }

// open finds the entries of an archive. Only a plain tar file can be read in any
// order; all else is written to one first, which has no name and so ends with this
// process.
func open(ctx context.Context, s *images.Store, r io.Reader, max int64) (*entries, error) {
	e := &entries{at: map[string]span{}, links: map[string]string{}, close: func() {}}
	if f, ok := plainFile(r); ok {
		e.f = f
		return e, e.list(ctx)
	}
	plain, err := images.Decompress("", bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	defer plain.Close()
	if e.f, err = spool(s); err != nil {
		return nil, err
	}
	e.close = func() { e.f.Close() }
	n, err := io.Copy(e.f, io.LimitReader(reader{ctx, plain}, max+1))
	if err == nil && n > max {
		err = fmt.Errorf("more than %d bytes unpacked, the limit", max)
	}
	if err == nil {
		_, err = e.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("archive: %w", err)
	}
	if err := e.list(ctx); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// spool makes a file without a name in the store.
func spool(s *images.Store) (*os.File, error) {
	f, err := os.CreateTemp(s.Path("ingest"), "archive-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// plainFile says whether r is a file that begins as an uncompressed tar does.
func plainFile(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	var magic [5]byte
	if err == nil && at == 0 {
		_, err = f.ReadAt(magic[:], 257)
	}
	return f, err == nil && at == 0 && string(magic[:]) == "ustar"
}

// list reads the headers and skips what is between them. tar.Reader reads no block
// ahead, so that where the file stands after a header is where the entry begins.
func (e *entries) list(ctx context.Context) error {
	tr := tar.NewReader(e.f)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("archive: after %d entries: %w", n, err)
		}
		if n == maxEntries {
			return fmt.Errorf("archive: more than %d entries", maxEntries)
		}
		if err := e.add(h); err != nil {
			return fmt.Errorf("archive: entry %q: %w", h.Name, err)
		}
	}
}

func (e *entries) add(h *tar.Header) error {
	name := path.Clean(h.Name)
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return errors.New("its name leads out of the archive")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return errors.New("a sparse file, which no image has")
		}
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
	default:
		return fmt.Errorf("of type %q, which no image has", h.Typeflag)
	}
	_, file := e.at[name]
	if _, link := e.links[name]; file || link {
		return errors.New("it is there twice")
	}
	if h.Typeflag == tar.TypeReg {
		offset, err := e.f.Seek(0, io.SeekCurrent)
		e.at[name] = span{offset, h.Size}
		return err
	}
	to := path.Clean(h.Linkname) // a hard link's is a name in the archive
	if h.Typeflag == tar.TypeSymlink {
		to = path.Join(path.Dir(name), h.Linkname)
	}
	e.links[name] = to
	return nil
}

// find follows links: docker save writes a layer that two images share once.
func (e *entries) find(name string) (span, bool) {
	name = path.Clean(name)
	for range maxLinks {
		if at, ok := e.at[name]; ok {
			return at, true
		}
		to, ok := e.links[name]
		if !ok {
			break
		}
		name = to
	}
	return span{}, false
}

// section reads an entry; false if there is none of that name.
func (e *entries) section(name string) (*io.SectionReader, bool) {
	at, ok := e.find(name)
	return io.NewSectionReader(e.f, at.offset, at.size), ok
}

// text reads a small entry as a whole.
func (e *entries) text(name string) ([]byte, error) {
	r, ok := e.section(name)
	if !ok {
		return nil, fmt.Errorf("archive: %s: %w", name, images.ErrNotFound)
	}
	if r.Size() > maxText {
		return nil, fmt.Errorf("archive: %s has %d bytes, more than the %d that one may have", name, r.Size(), maxText)
	}
	data := make([]byte, r.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("archive: %s: %w", name, err)
	}
	return data, nil
}

// A reader stops when its context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
