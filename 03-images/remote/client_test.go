package remote

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestClient_NoCredentialsAfterARedirect(t *testing.T) {
	exercise.NeedAll(t)
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	f := newFake(t, img)
	var got []string
	// The same address and another port: for Go's own rule that is the same host.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.Write(img.blobs[img.spec.Config.Digest])
	}))
	t.Cleanup(other.Close)
	to := other.URL + "/blob?X-Amz-Signature=secret"
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	c, waited := newClient(t, Options{Credentials: as("ann", "secret")})
	ref := f.ref(t, ":1")
	_, err := c.small(t.Context(), ref, img.spec.Config)
	check.NoError(t, "a blob from another host", err)
	check.Equal(t, "Authorization there", []string{""}, got)

	for _, bad := range []string{"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"} {
		to = bad
		_, err = c.small(t.Context(), ref, img.spec.Config)
		check.ErrorHas(t, "a redirect to "+bad, err, []string{"redirect", "refused"})
		check.True(t, "the error", !strings.ContainsAny(err.Error(), "\n\x1b"), err.Error(), "one line without escapes")
		check.Equal(t, "pauses before another try", 0, len(*waited))
	}
	to = f.URL + "/v2/app/blobs/" + string(img.spec.Config.Digest)
	_, err = c.small(t.Context(), ref, img.spec.Config)
	check.ErrorHas(t, "a redirect to itself", err, []string{"more than 5 redirects"})
	other.Config.Handler = http.NotFoundHandler()
	to = other.URL + "/blob?X-Amz-Signature=secret"
	_, err = c.small(t.Context(), ref, img.spec.Config)
	check.ErrorIs(t, "a redirect to what is not there", err, images.ErrNotFound)
	check.True(t, "the error", !strings.Contains(err.Error(), "secret"), err.Error(), "no signature in it")
}

func TestClient_TLSAndItsDowngrades(t *testing.T) {
	exercise.NeedAll(t)
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	plain := newFake(t, img)
	redirect := ""
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirect != "" {
			http.Redirect(w, r, redirect, http.StatusFound)
			return
		}
		plain.ServeHTTP(w, r)
	}))
	secure.Config.ErrorLog = discard
	t.Cleanup(secure.Close)
	ref, err := Parse(strings.TrimPrefix(secure.URL, "https://") + "/app:1")
	check.NoError(t, "Parse", err)
	c, waited := newClient(t, Options{})
	_, _, err = c.Resolve(t.Context(), ref)
	check.ErrorHas(t, "a certificate of an unknown authority", err, []string{"certificate", "--ca"})
	check.Equal(t, "pauses", 0, len(*waited))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	c, _ = newClient(t, Options{CA: ca})
	d, _, err := c.Resolve(t.Context(), ref)
	check.NoError(t, "a certificate of our authority", err)
	check.Equal(t, "what comes", img.manifest, d)
	redirect = plain.URL + "/v2/app/manifests/1"
	_, _, err = c.Resolve(t.Context(), ref)
	check.ErrorHas(t, "a redirect from https to http", err, []string{"refused"})
	_, err = New(Options{CA: []byte("no PEM")})
	check.True(t, "New with a CA that is none", err != nil, "no error", "an error")

	// Another than a loopback address is not spoken to in the clear unless it is named.
	far := Reference{Registry: "r.example", Repository: "app", Tag: "1"}
	c, _ = newClient(t, Options{})
	base, err := c.base(t.Context(), far)
	check.True(t, "the URL of r.example", err == nil && base == "https://r.example", base, "https://r.example")
	c, _ = newClient(t, Options{PlainHTTP: []string{"r.example"}})
	base, err = c.base(t.Context(), far)
	check.True(t, "the URL of r.example, which speaks plain HTTP", err == nil && base == "http://r.example", base, "http://r.example")
	base, err = c.base(t.Context(), Reference{Registry: "docker.io"})
	check.True(t, "the URL of docker.io", err == nil && base == "https://registry-1.docker.io", base, "https://registry-1.docker.io")
}

func TestClient_GivesABusyRegistryTime(t *testing.T) {
	exercise.NeedAll(t)
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	f := newFake(t, img)
	c, waited := newClient(t, Options{})
	ref := f.ref(t, ":1")
	answers := []int{}
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if len(answers) == 0 {
			return false
		}
		status := answers[0]
		answers = answers[1:]
		switch status {
		case 0:
			panic(http.ErrAbortHandler)
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(status)
		return true
	}
	f.Config.ErrorLog = discard
	answers = []int{503, 429, 0, 500, 502}
	_, _, err := c.Resolve(t.Context(), ref)
	check.NoError(t, "a registry that answers the sixth time", err)
	// That a connection broke which had been idle, net/http mends itself.
	check.Equal(t, "the pauses", []time.Duration{200 * time.Millisecond, 7 * time.Second, 800 * time.Millisecond, 1600 * time.Millisecond}, *waited)
	answers = slices.Repeat([]int{503}, 100)
	_, _, err = c.Resolve(t.Context(), ref)
	var e *Error
	check.True(t, "a registry that never does", errors.As(err, &e) && e.Status == 503, check.Error(err), "503")
	check.Equal(t, "requests", 100-tries, len(answers))
	answers = []int{501, 404, 400}
	_, _, err = c.Resolve(t.Context(), ref)
	check.True(t, "an answer that no patience changes", err != nil && len(answers) == 2, fmt.Sprint(answers), "no second try")

	ctx, cancel := context.WithCancel(t.Context())
	answers = []int{503, 503}
	c.wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	_, _, err = c.Resolve(ctx, ref)
	check.ErrorIs(t, "a busy registry, the context ends", err, context.Canceled)
	f.Close()
	_, _, err = c.Resolve(t.Context(), ref)
	check.ErrorHas(t, "a registry that is not there", err, []string{"connection refused", f.Listener.Addr().String()})
}

func TestClient_ATokenIsKeptAndReplaced(t *testing.T) {
	exercise.NeedAll(t)
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	f := newFake(t, img)
	given, refused := 0, 0
	good := func(token string) bool { return token == fmt.Sprintf("Bearer t%d", given) && given > 0 }
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			given++
			fmt.Fprintf(w, `{"token":"t%d","expires_in":100}`, given)
		case !good(r.Header.Get("Authorization")):
			refused++
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.URL+`/token",service="r"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			return false
		}
		return true
	}
	c, _ := newClient(t, Options{})
	now := time.Unix(1e9, 0)
	c.now = func() time.Time { return now }
	ref := f.ref(t, ":1")
	resolve := func(did string, wantGiven, wantRefused int) {
		t.Helper()
		_, _, err := c.Resolve(t.Context(), ref)
		check.NoError(t, did, err)
		check.Equal(t, did+": tokens, and refusals", [2]int{wantGiven, wantRefused}, [2]int{given, refused})
	}
	resolve("the first request", 1, 1)
	resolve("the second", 1, 1)
	given++ // the registry forgets the token
	resolve("one whose token is refused before its time", 3, 2)
	now = now.Add(101 * time.Second)
	resolve("one whose token has expired", 4, 3) // nothing is sent with it: the registry asks again
	good = func(string) bool { return false }
	_, _, err := c.Resolve(t.Context(), ref)
	check.ErrorIs(t, "a registry that refuses each token", err, ErrDenied)
	check.Equal(t, "tokens that were asked for", 5, given)
}

func TestClient_ABrokenDownloadGoesOn(t *testing.T) {
	exercise.NeedAll(t)
	noLeaks(t)
	img := newImage(t, images.HostPlatform(), files{"a": random(300_000)})
	layer := img.spec.Layers[0]
	for did, fault := range map[string]func(w http.ResponseWriter, r *http.Request, data []byte){
		"broken off": func(w http.ResponseWriter, r *http.Request, data []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:100_000])
			panic(http.ErrAbortHandler)
		},
		"announced as longer than it is": func(w http.ResponseWriter, r *http.Request, data []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:1000])
		},
		"cut off, as if that were all": func(w http.ResponseWriter, r *http.Request, data []byte) {
			w.Header().Set("Transfer-Encoding", "identity")
			w.Write(data[:150_000])
		},
		"stalled": func(w http.ResponseWriter, r *http.Request, data []byte) {
			w.Write(data[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		for _, ranges := range []bool{true, false} {
			f, s, n := newFake(t, img), newStore(t), 0
			f.Config.ErrorLog = discard
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, string(layer.Digest)) {
					return false
				}
				if n++; n == 1 {
					fault(w, r, img.blobs[layer.Digest])
					return true
				}
				if !ranges {
					r.Header.Del("Range")
				}
				return false
			}
			c, _ := newClient(t, Options{})
			if did == "stalled" {
				c.idle = check.Deadline / 10
			}
			_, err := pull(t, c, s, f.ref(t, ":1"), PullOptions{})
			check.NoError(t, fmt.Sprintf("Pull of a layer that is %s, ranges %v", did, ranges), err)
			check.Equal(t, "requests for it", 2, n)
			check.Equal(t, "the layer", digest.FromString(random(300_000)), digest.FromString(contents(t, s, img.chains[0])["a"]))
		}
	}
	// The announced length alone tells that this is not the blob: not a byte is taken.
	f := newFake(t, img)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000000000000")
		w.WriteHeader(http.StatusOK)
		return true
	}
	c, _ := newClient(t, Options{})
	_, _, err := c.open(t.Context(), f.ref(t, ":1"), layer, 0)
	check.ErrorIs(t, "a layer of a TB where 300 kB were announced", err, images.ErrTooLarge)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.WriteHeader(http.StatusPartialContent)
		return true
	}
	_, _, err = c.open(t.Context(), f.ref(t, ":1"), layer, 100)
	check.ErrorIs(t, "another range than what was asked for", err, images.ErrMismatch)
}

func TestError_OneLineWithoutEscapes(t *testing.T) {
	exercise.NeedAll(t)
	f := newFake(t, newImage(t, images.HostPlatform()))
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"no\n\u001b[2Jaccess %s"}]}`, strings.Repeat("!", 1000))
		return true
	}
	c, _ := newClient(t, Options{})
	_, _, err := c.Resolve(t.Context(), f.ref(t, ":1"))
	check.ErrorIs(t, "an answer of 403", err, ErrDenied)
	check.ErrorHas(t, "an answer of 403", err, []string{"403 Forbidden", "DENIED: no..[2Jaccess !!!"})
	check.True(t, "its length", len(err.Error()) < 400, fmt.Sprint(len(err.Error())), "under 400")
}
