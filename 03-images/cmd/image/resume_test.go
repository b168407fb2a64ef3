package main

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	images "coracle/03-images"
	"coracle/03-images/registry"
	"coracle/internal/check"
)

// A staller sends half of each blob that it is asked for from its beginning, and
// then nothing, until it is told not to.
type staller struct {
	registry http.Handler
	halves   chan struct{} // one for each that was sent
	mu       sync.Mutex
	stall    bool
	ranges   []string
}

func (s *staller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/blobs/") || r.Method != http.MethodGet {
		s.registry.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	stall := s.stall
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	if !stall {
		s.registry.ServeHTTP(w, r)
		return
	}
	whole := httptest.NewRecorder()
	s.registry.ServeHTTP(whole, r)
	body := whole.Body.Bytes()
	if len(body) < 1<<20 { // a config
		w.Write(body)
		return
	}
	maps.Copy(w.Header(), whole.Header())
	w.WriteHeader(whole.Code) // 206 for one that goes on
	w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	s.halves <- struct{}{}
	<-r.Context().Done()
}

// A pull that Ctrl-C or kill -9 ends in the middle of a layer leaves no image and
// nothing half unpacked that anybody believes, and the next one goes on where it was.
func TestImage_PullGoesOn(t *testing.T) {
	need(t)
	server, u, to := newUser(t), newUser(t), newUser(t)
	noise := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	dir := folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY noise /\n", "noise": string(noise)})
	digest := strings.Fields(u.does("build", "-t", "noise", dir))[1]
	s, err := images.Open(server.store, images.Single)
	check.NoError(t, "open the registry's store", err)
	r := registry.New(s, registry.Options{})
	defer r.Close()
	half := &staller{registry: r, halves: make(chan struct{}, 10), stall: true}
	web := httptest.NewServer(half)
	defer web.Close()
	name := strings.TrimPrefix(web.URL, "http://") + "/noise"
	u.does("push", "noise", name)
	blob := filepath.Base(blobOf(t, u, "noise", 0))

	for _, end := range []os.Signal{os.Interrupt, os.Kill} {
		cmd := to.command("pull", name)
		check.NoError(t, "start image pull", cmd.Start())
		check.Within(t, "pull", "half of the layer to be sent", func() (int, error) { <-half.halves; return 0, nil })
		check.Eventually(t, "pull", "a good part of the layer to be kept", func() bool {
			fi, err := os.Stat(to.store + "/ingest/" + blob)
			return err == nil && fi.Size() > 1<<20
		})
		cmd.Process.Signal(end)
		check.Within(t, "a signal", "image to end", func() (int, error) { return 0, cmd.Wait() })
		check.Equal(t, "names after "+end.String(), "NAME  ID  PLATFORM  SIZE  CREATED\n", to.does("ls"))
		to.does("gc") // what broke off a moment ago stays
	}
	half.mu.Lock()
	half.stall, half.ranges = false, nil
	half.mu.Unlock()
	check.Equal(t, "the next pull", name+":latest "+digest+"\n", to.does("pull", name))
	half.mu.Lock()
	asked := strings.Join(half.ranges, " ")
	half.mu.Unlock()
	check.True(t, "the ranges that it asked for", strings.Contains(asked, "bytes=") && !strings.Contains(asked, "bytes=0-"), asked, "one that begins where the layer broke off")
	out := to.does("mount", name, folder0(t), "--", "cat", folder0(t)+"/noise")
	check.True(t, "what was pulled", out == string(noise), "other bytes", "those that were pushed")
}
