package ours

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"coracle/03-images"
	"coracle/03-images/remote"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/network"
	"coracle/04-runtime/oci"
)

// A Network connects pods; *network.Node is one, and so are CNI plugins (network/cni).
type Network interface {
	Add(ctx context.Context, p network.Pod) ([]netip.Addr, error)
	Remove(ctx context.Context, id string) error
}

// A Config is what a driver works with.
type Config struct {
	Dir     string // its folders; made where there is none
	Runtime string // the file of coracle-runtime
	Store   *images.Store
	Remote  remote.Options // Credentials are taken where Pull has none
	Network Network        // nil: pods have lo alone
	Cgroup  string         // the root of its groups, as a cgroupsPath: "/coracle", "coracle"

	LogBytes int64 // a container's log begins a new file there; 0: never
	LogFiles int   // older files that are kept
}

// A Driver is the driver.Driver of this package.
type Driver struct {
	Config
	rt  *oci.Runtime
	ctx context.Context // until Close
	end context.CancelFunc

	watches sync.WaitGroup
	mu      sync.Mutex // of what follows, and of writing down that a container was lost
	subs    map[chan driver.Event]bool
	watched map[string]bool
	starts  map[string]chan struct{} // closed when a Start under way has told of it: its end is told after
}

var _ driver.Driver = (*Driver)(nil)

// Open finds what is there, and begins to watch what runs.
func Open(c Config) (*Driver, error) {
	d := &Driver{Config: c, subs: map[chan driver.Event]bool{}, watched: map[string]bool{}, starts: map[string]chan struct{}{}}
	d.rt = &oci.Runtime{Root: d.path("runtime")}
	for _, dir := range []string{"sandboxes", "containers"} {
		// Root of a pod's user namespace passes through; that ids cannot be guessed keeps others out.
		if err := os.MkdirAll(d.path(dir), 0o711); err != nil {
			return nil, err
		}
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	all, err := d.list("containers")
	if err != nil {
		return nil, err
	}
	for _, id := range all {
		d.watch(id)
	}
	return d, nil
}

// Name is the scheme of a container's ID in a status.
func (d *Driver) Name() string { return "coracle" }

// Close ends the watches. Containers run on.
func (d *Driver) Close() error {
	d.end()
	d.watches.Wait()
	return nil
}

func (d *Driver) path(elem ...string) string {
	return filepath.Join(append([]string{d.Dir}, elem...)...)
}

// newID is one that nobody had.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (d *Driver) list(kind string) (ids []string, err error) {
	entries, err := os.ReadDir(d.path(kind))
	for _, e := range entries {
		if idForm.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, err
}

// begin makes the folder of something new, with what it is.
func (d *Driver) begin(kind, id string, v any) error {
	if err := os.Mkdir(d.path(kind, id), 0o711); err != nil {
		return err
	}
	return d.write(kind, id, v)
}

var files = map[string]string{"sandboxes": "sandbox.json", "containers": "container.json"}

func (d *Driver) write(kind, id string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := d.path(kind, id, files[kind])
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// read reads what something is. A folder without it was being made by a driver that
// was killed: v stays as it is.
func (d *Driver) read(kind, id string, v any) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%s %q: %w", kind[:len(kind)-1], id, driver.ErrNotFound)
	}
	b, err := os.ReadFile(d.path(kind, id, files[kind]))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(d.path(kind, id)); err != nil {
			return fmt.Errorf("%s %s: %w", kind[:len(kind)-1], id, driver.ErrNotFound)
		}
		return nil
	} else if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// Events tells what happens from now on. Who does not read misses some.
func (d *Driver) Events(ctx context.Context) (<-chan driver.Event, error) {
	ch := make(chan driver.Event, 256)
	d.mu.Lock()
	d.subs[ch] = true
	d.mu.Unlock()
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.subs, ch)
		close(ch)
	})
	return ch, nil
}

func (d *Driver) tell(e driver.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ch := range d.subs {
		select {
		case ch <- e:
		default:
		}
	}
}
