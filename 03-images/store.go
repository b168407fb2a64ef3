package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Store is a folder: an OCI image layout (image-spec, image-layout.md), and what
// was unpacked from it.
//
//	oci-layout, index.json  which images there are, by name (tags.go)
//	blobs/sha256/HEX        manifests, configs, layers, as shipped (blob.go)
//	ingest/                 blobs on their way; a download that broke off goes on
//	layers/HEX/             an unpacked layer by its chain ID (snapshot.go)
//	active/ID/              a writable snapshot: what a container or a build changes
//	cache/HEX               what a step of a build made (build/)
//	lock                    flock(2): shared to add, exclusive to collect
type Store struct {
	dir    string
	owners Owners
}

// Owners says how a file's owner is kept.
type Owners int

const (
	Kernel Owners = iota // by the file system: as root, or with a range of ids
	Single               // in the attribute user.coracle.owner: one id is all there is
)

// Open opens a store and makes it where there is none.
func Open(dir string, owners Owners) (*Store, error) {
	if !filepath.IsAbs(dir) { // overlay would look for it where the mount is made
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		dir = abs
	}
	// Closed to others: layers hold set-uid programs of images, blobs private images.
	for _, d := range []string{"blobs/sha256", "ingest", "layers/empty", "active", "cache"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
	}
	s := &Store{dir: dir, owners: owners}
	return s, s.writeLayout()
}

// Path returns a path in the store.
func (s *Store) Path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// Owners says how this store's owners are kept.
func (s *Store) Owners() Owners { return s.owners }

// Share takes the store's lock together with others, to add to it. What is added
// must have a name, or be in active/, before the lock is given back.
func (s *Store) Share(ctx context.Context) (unlock func(), err error) {
	return lock(ctx, s.Path("lock"), unix.LOCK_SH)
}

// Alone takes the store's lock for nobody else, to collect. It waits for a moment
// in which nobody adds; nobody is kept from adding meanwhile, or who holds Share and
// asks for it again would wait for himself.
func (s *Store) Alone(ctx context.Context) (unlock func(), err error) {
	return lock(ctx, s.Path("lock"), unix.LOCK_EX)
}

// lock waits until ctx ends. flock(2) cannot be asked to give up, so it is asked
// again and again. The lock is the open file's: it ends with the process, however
// that ends. Whoever holds it may remove the file: who waited then begins anew.
func lock(ctx context.Context, file string, how int) (unlock func(), err error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		unlock, err = tryLock(file, how)
		if unlock != nil {
			return unlock, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s, which another process holds: %w", file, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// tryLock returns nil, nil if another holds the lock.
func tryLock(file string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	var locked, named unix.Stat_t
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &locked)
	}
	if err == nil && unix.Stat(file, &named) == nil && named.Ino == locked.Ino {
		return func() { f.Close() }, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		err = nil
	}
	return nil, err
}
