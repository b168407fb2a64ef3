package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// program is something that Debian has in a package.
func program(name, pkg string) sandbox.Feature {
	return sandbox.Feature{Name: name, Fix: "apt-get install " + pkg, Has: func() error {
		_, err := exec.LookPath(name)
		return err
	}}
}

// run runs a program to its end and returns what it prints.
func run(t testing.TB, name string, arg ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arg...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	check.True(t, name+" "+strings.Join(arg, " "), err == nil, fmt.Sprint(err, ": ", strings.TrimSpace(diag.String())), "its success")
	return out.String()
}

// startRegistry starts Debian's docker-registry on loopback and ends it with the
// test. more is added to its configuration, below "http:" where it is indented.
func startRegistry(t testing.TB, scheme, httpMore, more string, ca []byte) (host string) {
	t.Helper()
	sandbox.Need(t, program("docker-registry", "docker-registry"))
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the network is the test's own: nobody takes the port
	check.NoError(t, "find a port", err)
	host = l.Addr().String()
	l.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}}\nhttp:\n  addr: %s\n%s%s", dir, host, httpMore, more)
	check.NoError(t, "write its configuration", os.WriteFile(dir+"/config.yml", []byte(config), 0o644))
	cmd := exec.Command("docker-registry", "serve", dir+"/config.yml")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check.NoError(t, "start docker-registry", cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log("docker-registry said:", out.String())
		}
	})
	c, _ := newClient(t, Options{CA: ca})
	check.Eventually(t, "docker-registry", "an answer on "+host, func() bool {
		resp, err := c.http.Get(scheme + "://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return host
}

// there and back: an image is pushed and pulled into another store.
func thereAndBack(t testing.TB, host, repo string, o Options) {
	t.Helper()
	img := newImage(t, images.HostPlatform(), files{"a": "1", "b": random(3 << 20)}, files{"b": "2"})
	s := storeWith(t, img, "app:1")
	ref, err := Parse(host + "/" + repo + ":1")
	check.NoError(t, "Parse", err)
	c, _ := newClient(t, o)
	_, err = c.Push(t.Context(), s, "app:1", ref, PushOptions{})
	check.NoError(t, "push to docker-registry", err)
	other, _ := newClient(t, o)
	back := newStore(t)
	d, err := other.Pull(t.Context(), back, ref, PullOptions{})
	check.NoError(t, "pull from docker-registry", err)
	check.Equal(t, "what comes back", img.manifest.Digest, d.Digest)
	check.Equal(t, "its upper layer", files{"b": "2"}, contents(t, back, img.chains[1]))
	_, err = other.Pull(t.Context(), back, ref.At(img.manifest.Digest), PullOptions{})
	check.NoError(t, "pull by digest", err)
}

// storeWith is a store that has an image, not unpacked.
func storeWith(t testing.TB, img *image, name string) *images.Store {
	t.Helper()
	s := newStore(t)
	for _, data := range img.blobs {
		_, err := s.Blobs().Put("", data)
		check.NoError(t, "Put", err)
	}
	check.NoError(t, "Tag", s.Tag(t.Context(), name, img.manifest))
	return s
}

func refused(t testing.TB, host string, o Options) {
	t.Helper()
	c, _ := newClient(t, o)
	ref, _ := Parse(host + "/app:1")
	_, err := c.Pull(t.Context(), newStore(t), ref, PullOptions{})
	check.ErrorIs(t, "pull with the wrong password or none", err, ErrDenied)
}

func TestReal_Anonymous(t *testing.T) {
	exercise.NeedAll(t)
	thereAndBack(t, startRegistry(t, "http", "", "", nil), "team/app", Options{})
}

func TestReal_Password(t *testing.T) {
	exercise.NeedAll(t)
	file := filepath.Join(t.TempDir(), "htpasswd")
	const line = `ann:$2y$04$wFs.vx.jqiZwJTRl5JMn9uxHnnoowHjhS6RFjhrR33L.gGdSZi.P2` // htpasswd -nbB -C 4 ann s:cret
	check.NoError(t, "write the passwords", os.WriteFile(file, []byte(line+"\n"), 0o644))
	host := startRegistry(t, "http", "", "auth: {htpasswd: {realm: r, path: "+file+"}}\n", nil)
	thereAndBack(t, host, "app", Options{Credentials: as("ann", "s:cret")})
	refused(t, host, Options{Credentials: as("ann", "wrong")})
	refused(t, host, Options{})

	sandbox.Need(t, program("skopeo", "skopeo"))
	auth := filepath.Join(t.TempDir(), "auth.json")
	run(t, "skopeo", "login", "--authfile", auth, "--tls-verify=false", "-u", "ann", "-p", "s:cret", host)
	thereAndBack(t, host, "app2", Options{Credentials: func(r string) (Credential, error) { return FromFile(auth, r) }})
}

func TestReal_TLS(t *testing.T) {
	exercise.NeedAll(t)
	authority := certificate(t, nil)
	cert, key := certificate(t, authority).write(t)
	host := startRegistry(t, "https", "  tls: {certificate: "+cert+", key: "+key+"}\n", "", authority.pem)
	thereAndBack(t, host, "app", Options{CA: authority.pem})
	c, _ := newClient(t, Options{})
	ref, _ := Parse(host + "/app:1")
	_, err := c.Pull(t.Context(), newStore(t), ref, PullOptions{})
	check.ErrorHas(t, "pull without our authority", err, []string{"certificate"})
}

func TestReal_Token(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	signer := certificate(t, nil)
	bundle, _ := signer.write(t)
	given := 0
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ann" || password != "secret" || r.URL.Query().Get("service") != "the registry" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		given++
		good := time.Now().Add(time.Minute)
		if given%2 == 1 {
			good = time.Now().Add(-time.Hour) // the first one of two has expired, whatever is said of it
		}
		json.NewEncoder(w).Encode(map[string]any{"token": signer.token(t, r.URL.Query()["scope"], good), "expires_in": 300})
	}))
	t.Cleanup(tokens.Close)
	host := startRegistry(t, "http", "", "auth: {token: {realm: '"+tokens.URL+"/token', service: the registry, issuer: the test, rootcertbundle: "+bundle+"}}\n", nil)
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	s := storeWith(t, img, "app:1")
	ref, _ := Parse(host + "/app:1")
	c, _ := newClient(t, Options{Credentials: as("ann", "secret")})
	_, err := c.Push(t.Context(), s, "app:1", ref, PushOptions{Parallel: 1})
	check.ErrorIs(t, "push with a token that has expired", err, ErrDenied) // once is enough: a new one every time would never end
	_, err = c.Push(t.Context(), s, "app:1", ref, PushOptions{Parallel: 1})
	check.NoError(t, "push with the next", err)
	given = 1
	thereAndBackAs(t, host, img)
	refused(t, host, Options{Credentials: as("ann", "wrong")})
}

func thereAndBackAs(t testing.TB, host string, img *image) {
	t.Helper()
	c, _ := newClient(t, Options{Credentials: as("ann", "secret")})
	ref, _ := Parse(host + "/app:1")
	s := newStore(t)
	_, err := c.Pull(t.Context(), s, ref, PullOptions{})
	check.NoError(t, "pull with a token", err)
	check.Equal(t, "its layer", files{"a": "1"}, contents(t, s, img.chains[0]))
}

// TestReal_Mount: what another repository of the registry has is not sent again.
func TestReal_Mount(t *testing.T) {
	exercise.NeedAll(t)
	host := startRegistry(t, "http", "", "", nil)
	var mu sync.Mutex
	var log []string
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		log = append(log, r.Method+" "+r.URL.Path)
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	img := newImage(t, images.HostPlatform(), files{"a": "1"}, files{"b": "2"})
	one, _ := Parse(hostOf(t, front.URL) + "/one:1")
	two, _ := Parse(hostOf(t, front.URL) + "/two:1")
	s := storeWith(t, img, one.String())
	c, _ := newClient(t, Options{})
	_, err := c.Push(t.Context(), s, one.String(), one, PushOptions{})
	check.NoError(t, "push to one repository", err)
	mu.Lock()
	log = nil
	mu.Unlock()
	_, err = c.Push(t.Context(), s, one.String(), two, PushOptions{})
	check.NoError(t, "push to another", err)
	check.True(t, "what was sent then", !strings.Contains(strings.Join(log, "\n"), "PUT /v2/two/blobs"), strings.Join(log, ", "), "nothing but a manifest: the registry can mount")
	_, err = c.Pull(t.Context(), newStore(t), two, PullOptions{})
	check.NoError(t, "pull from it", err)
}

// TestReal_Skopeo: images as skopeo makes them, in the formats there are.
func TestReal_Skopeo(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, program("skopeo", "skopeo"))
	host := startRegistry(t, "http", "", "", nil)
	img := newImage(t, images.HostPlatform(), files{"a": "1", "b": random(1 << 20)}, files{"b": "2"})
	s := storeWith(t, img, "app:1")
	c, _ := newClient(t, Options{})
	first, _ := Parse(host + "/app:1")
	_, err := c.Push(t.Context(), s, "app:1", first, PushOptions{})
	check.NoError(t, "push", err)
	for name, how := range map[string][]string{
		"docker": {"--format", "v2s2"},
		"oci":    {"--format", "oci"},
		"zstd":   {"--format", "oci", "--dest-compress-format", "zstd"},
	} {
		layout := "oci:" + t.TempDir() + ":1"
		skopeo := []string{"--insecure-policy", "--tmpdir", t.TempDir(), "copy", "--src-tls-verify=false", "--dest-tls-verify=false"}
		// By way of a folder, so that what was compressed is compressed anew.
		folder := "dir:" + t.TempDir()
		run(t, "skopeo", append(skopeo, "--dest-decompress", "docker://"+first.String(), folder)...)
		ref, _ := Parse(host + "/app:" + name)
		run(t, "skopeo", append(append(skopeo, how...), folder, "docker://"+ref.String())...)
		back := newStore(t)
		d, err := c.Pull(t.Context(), back, ref, PullOptions{})
		check.NoError(t, "pull what skopeo made with "+strings.Join(how, " "), err)
		read, err := back.Image(ref.String(), images.HostPlatform())
		check.NoError(t, "read it", err)
		check.Equal(t, "its upper layer", files{"b": "2"}, contents(t, back, read.Chain()))
		check.Equal(t, "Docker's format", name == "docker", d.MediaType == "application/vnd.docker.distribution.manifest.v2+json")
		check.Equal(t, "zstd", name == "zstd", read.Layers[0].MediaType == v1.MediaTypeImageLayerZstd)

		// And on: pushed as it is, read by skopeo.
		again, _ := Parse(host + "/again:" + name)
		_, err = c.Push(t.Context(), back, ref.String(), again, PushOptions{})
		check.NoError(t, "push it again", err)
		run(t, "skopeo", append(skopeo, "docker://"+again.String(), layout)...)
		check.Equal(t, "its digest", string(d.Digest), strings.TrimSpace(run(t, "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+again.String())))
	}
}
