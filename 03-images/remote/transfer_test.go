package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

func as(user, password string) func(string) (Credential, error) {
	return func(string) (Credential, error) { return Credential{user, password}, nil }
}

func challenge(text string) []Challenge {
	return ParseChallenges(http.Header{"Www-Authenticate": {text}})
}

// authorize is Authorize with a deadline.
func authorize(t testing.TB, c *Client, ref Reference, offer []Challenge, scopes []string) (header string, until time.Time, err error) {
	t.Helper()
	header, err = check.Within(t, "Authorize", "its return", func() (h string, err error) {
		h, until, err = c.Authorize(t.Context(), ref, offer, scopes)
		return h, err
	})
	return header, until, err
}

func TestAuthorize_Password(t *testing.T) {
	exercise.Need(t, "3.7")
	c, _ := newClient(t, Options{Credentials: as("ann", "s:cret")})
	ref := Reference{Registry: "r.example", Repository: "app", Tag: "1"}
	header, until, err := authorize(t, c, ref, challenge(`Basic realm="r"`), []string{"repository:app:pull"})
	check.NoError(t, "Authorize by password", err)
	check.Equal(t, "the header", "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:s:cret")), header)
	check.True(t, "a password", until.IsZero(), until.String(), "good for ever: the zero time")
	_, _, err = authorize(t, c, ref, challenge(`Negotiate`), nil)
	check.True(t, "Authorize where only Negotiate is offered", err != nil, "no error", "an error")
	c.credentials = as("", "")
	_, _, err = authorize(t, c, ref, challenge(`Basic realm="r"`), nil)
	check.ErrorIs(t, "Authorize by password without one", err, ErrDenied)
	broken := errors.New("the file is damaged")
	c.credentials = func(string) (Credential, error) { return Credential{}, broken }
	_, _, err = authorize(t, c, ref, challenge(`Basic realm="r"`), nil)
	check.ErrorIs(t, "Authorize with a damaged file of credentials", err, broken)
}

func TestAuthorize_Token(t *testing.T) {
	exercise.Need(t, "3.7")
	var mu sync.Mutex
	var asked []*http.Request
	answer := ""
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r)
		if answer == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(tokens.Close)
	c, _ := newClient(t, Options{Credentials: as("ann", "secret")})
	now := time.Unix(1e9, 0)
	c.now = func() time.Time { return now }
	ref := Reference{Registry: "r.example", Repository: "app", Tag: "1"}
	c.scheme["r.example"] = "http"
	offer := challenge(`Bearer realm="` + tokens.URL + `/token?x=1",service="the registry",scope="repository:other:pull", Basic realm="r"`)
	scopes := []string{"repository:app:pull,push", "repository:lib:pull"}

	for _, a := range []struct {
		answer string
		header string
		good   time.Duration
	}{
		{`{"token":"abc","expires_in":300}`, "Bearer abc", 300 * time.Second},
		{`{"access_token":"def"}`, "Bearer def", time.Minute},
	} {
		answer = a.answer
		header, until, err := authorize(t, c, ref, offer, scopes)
		check.NoError(t, "Authorize by a token", err, check.Often(strings.Contains(a.answer, "access_token"), "a token may also be called access_token"))
		check.Equal(t, "the header for "+a.answer, a.header, header, check.Often(strings.HasPrefix(header, "Basic"), "the password goes to the registry where a token would do"))
		check.Equal(t, "how long it is good", a.good, until.Sub(now), check.Often(until.IsZero(), "a token is kept for ever"))
	}
	check.Equal(t, "requests to the token server for two tokens", 2, len(asked))
	r := asked[0]
	check.Equal(t, "the token server is asked by", "GET /token", r.Method+" "+r.URL.Path)
	want := url.Values{"x": {"1"}, "service": {"the registry"}, "scope": scopes}
	check.Equal(t, "its query", want, r.URL.Query(), check.Often(len(r.URL.Query()["scope"]) == 1, "only one scope is asked for: a mount needs two"),
		check.Often(r.URL.Query().Get("x") == "", "the query that realm has is lost"))
	user, password, _ := r.BasicAuth()
	check.Equal(t, "who asks the token server", "ann secret", user+" "+password)

	c.credentials = as("", "")
	header, _, err := authorize(t, c, ref, offer, scopes)
	check.NoError(t, "Authorize by a token, as nobody", err)
	check.Equal(t, "requests to the token server for three tokens", 3, len(asked))
	check.True(t, "the header of nobody's token", header == "Bearer def" && asked[2].Header.Get("Authorization") == "", header+", asked with "+asked[2].Header.Get("Authorization"), "Bearer def, asked without a name")

	for _, bad := range []string{``, `{}`, `no JSON`, `{"token":""}`} {
		answer = bad
		_, _, err = authorize(t, c, ref, offer, scopes)
		check.ErrorHas(t, "Authorize, the token server says "+bad, err, []string{"token server"})
		if bad == "" {
			check.ErrorIs(t, "Authorize, the token server refuses", err, ErrDenied)
		}
	}
	c.scheme["r.example"] = "https"
	answer = `{"token":"abc"}`
	n := len(asked)
	for _, realm := range []string{tokens.URL, "file:///etc/passwd", "/token", "https://", "ftp://r.example/", ""} {
		_, _, err = authorize(t, c, ref, challenge(`Bearer realm="`+realm+`"`), scopes)
		check.True(t, "Authorize for a registry over TLS, realm "+realm, err != nil && len(asked) == n, check.Error(err), "an error, and nothing sent",
			check.Often(true, "credentials are sent wherever a registry says, also in the clear"))
	}
}

// A body gives these bytes and then an error.
type body struct {
	io.Reader
	open *int
}

func (b *body) Close() error { *b.open--; return nil }

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

var reset = errors.New("connection reset by peer")

func TestResume_GoesOn(t *testing.T) {
	exercise.Need(t, "3.7")
	data, opened, from := []byte(random(100_000)), 0, []int64{}
	// Three breaks, each after some bytes; the third answer takes no notice of Range.
	breaks := []struct {
		bytes int64
		err   error
	}{{30_000, reset}, {1, io.EOF}, {50_000, io.ErrUnexpectedEOF}, {1 << 40, nil}}
	open := func(_ context.Context, at int64) (io.ReadCloser, int64, error) {
		if len(from) == len(breaks) || at < 0 || at > int64(len(data)) {
			return nil, 0, fmt.Errorf("asked for what is from byte %d on, after %v", at, from)
		}
		b := breaks[len(from)]
		from = append(from, at)
		if len(from) == 3 {
			at = 0
		}
		opened++
		rest := bytes.NewReader(data[at:])
		return &body{io.MultiReader(io.LimitReader(rest, b.bytes), broken{cmpErr(b.err)}), &opened}, at, nil
	}
	r, err := check.Within(t, "Resume", "its return", func() (io.ReadCloser, error) { return Resume(t.Context(), open, 1000, int64(len(data))) })
	check.NoError(t, "Resume", err)
	got, err := check.Within(t, "read a body that breaks three times", "its end", func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, 1<<20)) })
	check.Equal(t, "where it was asked for again", "[1000 31000 31001 50000]", fmt.Sprint(from),
		check.Often(len(from) == 2, "a body that ends early is taken for the end of the blob"),
		check.Often(len(from) == 4 && from[3] > 50_000, "a registry that takes no notice of Range begins at 0, and nobody skips what is there"),
		check.Often(len(from) > 1 && from[1] <= 30000, "the bytes that were there before are not counted"))
	check.NoError(t, "read a body that breaks three times", err)
	check.True(t, "what was read", bytes.Equal(got, data[1000:]), fmt.Sprintf("%d bytes, begin right: %v", len(got), bytes.HasPrefix(got, data[1000:2000])), "the 99000 bytes from 1000 on")
	check.NoError(t, "Close", r.Close())
	check.Equal(t, "bodies that are open afterwards", 0, opened, check.Often(opened > 0, "a body that broke is left open, and its connection with it"))
}

func cmpErr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

func TestResume_Ends(t *testing.T) {
	exercise.Need(t, "3.7")
	endless := func(err error, each int64) func(context.Context, int64) (io.ReadCloser, int64, error) {
		asked := 0
		return func(_ context.Context, at int64) (io.ReadCloser, int64, error) {
			if asked++; asked > 1000 { // who asks for ever does not take a processor along for ever
				<-t.Context().Done()
				runtime.Goexit()
			}
			n := 0
			return &body{io.MultiReader(io.LimitReader(zeros{}, each), broken{err}), &n}, at, nil
		}
	}
	read := func(did string, ctx context.Context, open func(context.Context, int64) (io.ReadCloser, int64, error), size int64) (int, error) {
		t.Helper()
		return check.Within(t, did, "its end", func() (int, error) {
			r, err := Resume(ctx, open, 0, size)
			if err != nil {
				return 0, err
			}
			defer r.Close()
			data, err := io.ReadAll(io.LimitReader(r, 1<<20)) // who does not end it does not fill the memory
			return len(data), err
		}, check.Often(true, "it asks again for ever"))
	}
	n, err := read("read an endless body", t.Context(), endless(io.EOF, 1<<40), 5000)
	check.True(t, "read an endless body of 5000 bytes", n == 5000 && err == nil, fmt.Sprint(n, " bytes, ", check.Error(err)), "5000 bytes")
	n, err = read("read 100 bytes, one for each try", t.Context(), endless(reset, 1), 100)
	check.True(t, "read 100 bytes, one for each try", n == 100 && err == nil, fmt.Sprint(n, " bytes, ", check.Error(err)), "100 bytes",
		check.Often(n > 0, "tries are counted although bytes came in between"))
	_, err = read("read what brings nothing", t.Context(), endless(reset, 0), 100)
	check.ErrorIs(t, "read what brings nothing", err, reset)
	check.ErrorHas(t, "read what brings nothing", err, []string{"0 of 100"})
	_, err = read("read what ends early, again and again", t.Context(), endless(io.EOF, 0), 100)
	check.ErrorIs(t, "read what ends early, again and again", err, io.ErrUnexpectedEOF, check.Often(err == nil, "a body that ends early is taken for the end of the blob"))

	gone := &Error{Status: http.StatusNotFound}
	tries := 0
	_, err = read("read a blob that goes away", t.Context(), func(ctx context.Context, at int64) (io.ReadCloser, int64, error) {
		if tries++; tries > 1 {
			return nil, 0, gone
		}
		return endless(reset, 10)(ctx, at)
	}, 100)
	check.True(t, "read a blob that goes away", errors.Is(err, images.ErrNotFound) && tries == 2, fmt.Sprint(check.Error(err), ", ", tries, " tries"), "the registry's error, at once")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = read("read, the context ends", ctx, func(ctx context.Context, at int64) (io.ReadCloser, int64, error) {
		cancel()
		return endless(reset, 0)(ctx, at)
	}, 100)
	check.ErrorIs(t, "read, the context ends", err, context.Canceled)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An uploads server answers as a test says and keeps what it was sent.
type uploads struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, body []byte)

	mu  sync.Mutex
	log []string
}

func newUploads(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *uploads {
	u := &uploads{answer: answer}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.log = append(u.log, strings.TrimSuffix(r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v2/app/")+"?"+r.URL.Query().Encode(), "?"))
		u.answer(w, r, body)
	}))
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

func TestPushBlob_OnlyWhatIsMissing(t *testing.T) {
	exercise.Need(t, "3.7")
	data := []byte("a layer")
	d := Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
	opened := 0
	content := func() (io.ReadCloser, error) { opened++; return io.NopCloser(bytes.NewReader(data)), nil }
	there, mounts, got := false, true, ""
	u := newUploads(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		switch {
		case r.Method == http.MethodHead && there:
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && mounts && r.URL.Query().Get("mount") != "":
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/elsewhere/place?state=a%2Bb")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPut && r.URL.Path == "/elsewhere/place" && r.URL.Query().Get("state") == "a+b" && r.URL.Query().Get("digest") == string(d.Digest):
			got = string(body)
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	c, _ := newClient(t, Options{})
	to := Reference{Registry: strings.TrimPrefix(u.URL, "http://"), Repository: "app", Tag: "1"}
	push := func(from string) (string, error) {
		u.log = nil
		_, err := check.Within(t, "PushBlob", "its return", func() (int, error) { return 0, c.PushBlob(t.Context(), to, d, from, content) })
		return strings.Join(u.log, ", "), err
	}
	mount := "POST blobs/uploads/?from=lib&mount=" + url.QueryEscape(string(d.Digest))
	head := "HEAD blobs/" + string(d.Digest)

	log, err := push("")
	check.NoError(t, "PushBlob", err, check.Often(strings.Contains(log, "/app/place"), "Location is not resolved against the URL of the request"),
		check.Often(strings.Contains(log, "PUT") && !strings.Contains(log, "state="), "the query that Location has is lost"))
	check.Equal(t, "what arrived", string(data), got)
	check.Equal(t, "what was asked", head+", POST blobs/uploads/, PUT /elsewhere/place?digest="+url.QueryEscape(string(d.Digest))+"&state=a%2Bb", log,
		check.Often(!strings.HasPrefix(log, "HEAD"), "a blob is sent that the registry has"))
	log, err = push("lib")
	check.NoError(t, "PushBlob of one that another repository has", err, check.Often(strings.Contains(log, "mount"), "201 to a mount says that the registry has the blob now: nothing is to be sent"))
	check.Equal(t, "what was asked", head+", "+mount, log)
	mounts = false
	log, err = push("lib")
	check.NoError(t, "PushBlob, the registry does not mount", err, check.Often(true, "202 to a mount is a place to upload to"))
	check.True(t, "what was asked", strings.HasPrefix(log, head+", "+mount+", PUT "), log, "HEAD, the mount, and PUT to where it said")
	there, opened = true, 0
	log, err = push("lib")
	check.NoError(t, "PushBlob of one that is there", err)
	check.True(t, "PushBlob of one that is there", log == head && opened == 0, log, head, check.Often(strings.Contains(log, "POST"), "a blob is sent that the registry has"))
	u.answer = func(w http.ResponseWriter, r *http.Request, body []byte) { w.WriteHeader(http.StatusForbidden) }
	_, err = push("")
	check.ErrorIs(t, "PushBlob that is forbidden", err, ErrDenied)
}
