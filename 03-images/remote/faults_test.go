package remote

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"coracle/03-images"
	"coracle/internal/check"
)

func without(blobs map[digest.Digest][]byte, d digest.Digest) map[digest.Digest][]byte {
	rest := map[digest.Digest][]byte{}
	for k, v := range blobs {
		if k != d {
			rest[k] = v
		}
	}
	return rest
}

func endless(d digest.Digest) func(*fake) {
	return func(f *fake) {
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, string(d)) {
				return false
			}
			w.Header().Set("Content-Length", "1000000000000")
			for b := make([]byte, 64<<10); ; {
				if _, err := w.Write(b); err != nil {
					return true
				}
			}
		}
	}
}

func endlessChunks(d digest.Digest) func(*fake) {
	return func(f *fake) {
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, string(d)) {
				return false
			}
			for b := make([]byte, 64<<10); ; {
				if _, err := w.Write(b); err != nil {
					return true
				}
			}
		}
	}
}

// random is text that no packer makes smaller.
func random(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}

// ready counts how often each layer is said to be ready, and how often one is not.
type ready struct {
	img    *image
	store  *images.Store
	mu     sync.Mutex
	layers [2]int
	early  int
}

func (r *ready) note(e images.Event) { r.count(e) }

// count returns how many there were.
func (r *ready) count(e images.Event) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, l := range r.img.spec.Layers {
		if e.Stage != images.Ready || e.Digest != l.Digest {
			continue
		}
		if _, err := r.store.LayerPath(r.img.chains[i]); err != nil || e.Done != l.Size {
			r.early++
		}
		r.layers[i]++
	}
	return r.layers[0] + r.layers[1]
}

// nobodyCollects asks for the store alone at each request of a pull, and when nothing
// but the name is missing.
func nobodyCollects(t *testing.T, c *Client, f *fake) {
	t.Helper()
	s := newStore(t)
	once, end := context.WithCancel(t.Context())
	end()
	had := make(chan string, 100)
	ask := func(when string) {
		if unlock, err := s.Alone(once); err == nil { // it tries once: ctx has ended
			unlock()
			had <- when
		}
	}
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool { ask("at GET " + r.URL.Path); return false }
	defer func() { f.fault = nil }()
	all, naming := &ready{img: f.image, store: s}, sync.WaitGroup{}
	progress := func(e images.Event) {
		n := all.count(e)
		if _, err := s.Tagged(f.ref(t, ":1").String()); e.Stage != images.Ready || n != 2 || err == nil {
			return
		}
		index, err := os.OpenFile(s.Path("index.lock"), os.O_CREATE|os.O_RDWR, 0o644) // Tag waits for it
		if err != nil || unix.Flock(int(index.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			had <- "before the last layer was ready, to give the name"
			return
		}
		naming.Go(func() {
			defer index.Close()
			for end := time.Now().Add(check.Deadline / 2); !s.Blobs().Has(f.image.manifest.Digest) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			ask("before the name is given")
		})
	}
	_, err := pull(t, c, s, f.ref(t, ":1"), PullOptions{Progress: progress})
	check.NoError(t, "Pull", err)
	naming.Wait()
	close(had)
	when := <-had
	check.Equal(t, "when somebody else had the store alone", "", when,
		check.Often(true, "the store is not shared all the time: who collects takes away what has no name yet"))
}
