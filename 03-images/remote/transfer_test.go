package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
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
	c.credentials = as("ann", "a?>b~~~c") // of which base64 is not the same with another alphabet
	header, _, err = authorize(t, c, ref, challenge(`Basic realm="r"`), nil)
	check.NoError(t, "Authorize by password", err)
	check.Equal(t, "the header", "Basic YW5uOmE/PmJ+fn5j", header, check.Often(strings.ContainsAny(header, "-_"), "base64 for URLs is another one: RFC 7617 wants + and /"))
	whose := ""
	c.credentials = func(registry string) (Credential, error) { whose = registry; return Credential{"ann", "1"}, nil }
	_, _, err = authorize(t, c, Reference{Registry: "docker.io", Repository: "library/app", Tag: "1"}, challenge(`Basic realm="r"`), nil)
	check.NoError(t, "Authorize for docker.io", err)
	check.Equal(t, "whose credentials were asked for", "docker.io", whose)
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
	answer, now := "", time.Unix(1e9, 0)
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r)
		now = now.Add(7 * time.Second) // the answer is long on its way
		if answer == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(tokens.Close)
	tokens.Config.ErrorLog = discard // what Go's server thinks of a semicolon
	c, _ := newClient(t, Options{Credentials: as("ann", "secret")})
	c.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	ref := Reference{Registry: "r.example", Repository: "app", Tag: "1"}
	c.scheme["r.example"] = "http"
	offer := challenge(`Bearer realm="` + tokens.URL + `/token?x=a;b&y=1",service="the registry",scope="repository:other:pull", Basic realm="r"`)
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
		began := now
		header, until, err := authorize(t, c, ref, offer, scopes)
		check.NoError(t, "Authorize by a token", err, check.Often(strings.Contains(a.answer, "access_token"), "a token may also be called access_token"))
		check.Equal(t, "the header for "+a.answer, a.header, header, check.Often(strings.HasPrefix(header, "Basic"), "the password goes to the registry where a token would do"))
		check.Equal(t, "how long it is good", a.good, until.Sub(began), check.Often(until.IsZero(), "a token is kept for ever"),
			check.Often(until.Sub(began) > a.good, "the time is counted from the answer: it began when the token was asked for"))
	}
	check.Equal(t, "requests to the token server for two tokens", 2, len(asked))
	r := asked[0]
	check.Equal(t, "the token server is asked by", "GET /token", r.Method+" "+r.URL.Path)
	raw, query := r.URL.RawQuery, r.URL.Query()
	check.True(t, "the query that realm has", strings.HasPrefix(raw, "x=a;b&y=1&") || strings.HasSuffix(raw, "&x=a;b&y=1"), raw, "x=a;b&y=1, as it is, and more",
		check.Often(!strings.Contains(raw, "y=1"), "the query that realm has is lost"), check.Often(true, "the query that realm has is written anew"))
	check.Equal(t, "service", "the registry", query.Get("service"))
	check.True(t, "scope", slices.Equal(query["scope"], scopes), fmt.Sprintf("%q", query["scope"]), fmt.Sprintf("%q", scopes),
		check.Often(strings.Contains(query.Get("scope"), " "), "scopes are joined: each is a parameter of its own"),
		check.Often(len(query["scope"]) == 1, "only one scope is asked for: a mount needs two"))
	user, password, _ := r.BasicAuth()
	check.Equal(t, "who asks the token server", "ann secret", user+" "+password)

	c.credentials = as("", "")
	header, _, err := authorize(t, c, ref, offer, scopes)
	check.NoError(t, "Authorize by a token, as nobody", err)
	check.Equal(t, "requests to the token server for three tokens", 3, len(asked))
	check.True(t, "the header of nobody's token", header == "Bearer def" && asked[2].Header.Get("Authorization") == "", header+", asked with "+asked[2].Header.Get("Authorization"), "Bearer def, asked without a name")

	answer = `{"token":"abc"}`
	_, _, err = authorize(t, c, ref, challenge(`Bearer realm="`+tokens.URL+`",service=""`), scopes)
	check.NoError(t, "Authorize, service is empty", err)
	check.True(t, "the query for an empty service", !strings.Contains(asked[3].URL.RawQuery, "service"), asked[3].URL.RawQuery, "no service")
	damaged := errors.New("the file is damaged")
	c.credentials = func(string) (Credential, error) { return Credential{}, damaged }
	_, _, err = authorize(t, c, ref, offer, scopes)
	check.ErrorIs(t, "Authorize by a token with a damaged file of credentials", err, damaged, check.Often(err == nil, "who cannot read the credentials asks as nobody"))
	check.Equal(t, "requests to the token server then", 4, len(asked))
	c.credentials = as("", "")

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
	goesOn(t, "a body", func(r io.Reader) io.Reader { return r })
	goesOn(t, "a body that gives its last bytes with its error", iotest.DataErrReader)
}

func goesOn(t *testing.T, what string, as func(io.Reader) io.Reader) {
	t.Helper()
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
		return &body{as(io.MultiReader(io.LimitReader(rest, b.bytes), broken{cmpErr(b.err)})), &opened}, at, nil
	}
	r, err := check.Within(t, "Resume", "its return", func() (io.ReadCloser, error) { return Resume(t.Context(), open, 1000, int64(len(data))) })
	check.NoError(t, "Resume", err)
	got, err := check.Within(t, "read "+what+", three breaks", "its end", func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, 1<<20)) })
	check.Equal(t, "where "+what+" was asked for again", "[1000 31000 31001 50000]", fmt.Sprint(from),
		check.Often(len(from) == 2, "a body that ends early is taken for the end of the blob"),
		check.Often(len(from) == 4 && from[3] > 50_000, "a registry that takes no notice of Range begins at 0, and nobody skips what is there"),
		check.Often(len(from) > 1 && from[1] <= 31000, "the bytes that were there before are not counted"))
	overwritten := check.Often(len(got) != 99000 || err != nil, "bytes that came with an error are overwritten by those of the next body")
	check.NoError(t, "read "+what+", three breaks", err, overwritten)
	right := 0
	for right < min(len(got), len(data)-1000) && got[right] == data[1000+right] {
		right++
	}
	check.True(t, "what was read of "+what, bytes.Equal(got, data[1000:]), fmt.Sprintf("%d bytes, the first %d right", len(got), right), "the 99000 bytes from 1000 on", overwritten)
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
	asked := 0 // how often open was called, since endless
	endless := func(err error, each int64) func(context.Context, int64) (io.ReadCloser, int64, error) {
		asked = 0
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
	check.Equal(t, "calls of open that brought nothing", maxBreaks, asked)
	_, err = read("read what ends early, again and again", t.Context(), endless(io.EOF, 0), 100)
	check.ErrorIs(t, "read what ends early, again and again", err, io.ErrUnexpectedEOF, check.Often(err == nil, "a body that ends early is taken for the end of the blob"))
	nothing := endless(reset, 0)
	n, err = read("read 10 bytes, and then what brings nothing", t.Context(), func(ctx context.Context, at int64) (io.ReadCloser, int64, error) {
		if at == 0 {
			return endless(reset, 10)(ctx, 0)
		}
		return nothing(ctx, at)
	}, 100)
	check.True(t, "read 10 bytes, and then what brings nothing", n == 10 && errors.Is(err, reset), fmt.Sprint(n, " bytes, ", check.Error(err)), "10 bytes, "+reset.Error())
	check.Equal(t, "calls of open, of which the first brought bytes", 1+maxBreaks, asked)
	skipped := endless(reset, 10)
	_, err = check.Within(t, "go on at byte 50, each body begins at 0 and breaks after 10 bytes", "its end", func() ([]byte, error) {
		r, err := Resume(t.Context(), func(ctx context.Context, _ int64) (io.ReadCloser, int64, error) { return skipped(ctx, 0) }, 50, 100)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, 1<<20))
	}, check.Often(true, "bytes that are skipped are taken for progress"))
	check.ErrorIs(t, "go on at byte 50, each body begins at 0 and breaks after 10 bytes", err, reset)
	check.Equal(t, "calls of open then", maxBreaks, asked)

	gone := &Error{Status: http.StatusNotFound}
	tries := 0
	_, err = read("read a blob that goes away", t.Context(), func(ctx context.Context, at int64) (io.ReadCloser, int64, error) {
		if tries++; tries > 1 {
			return nil, 0, gone
		}
		return endless(reset, 10)(ctx, at)
	}, 100)
	check.True(t, "read a blob that goes away", errors.Is(err, images.ErrNotFound) && tries == 2, fmt.Sprint(check.Error(err), ", ", tries, " tries"), "the registry's error, at once")
	_, err = Resume(t.Context(), func(context.Context, int64) (io.ReadCloser, int64, error) { return nil, 0, gone }, 0, 100)
	check.ErrorIs(t, "Resume of a blob that is not there", err, images.ErrNotFound, check.Often(err == nil, "open is called by the first Read only"))
	ctx, cancel := context.WithCancel(t.Context())
	theirs := false
	_, err = read("read, the context ends", ctx, func(ctx context.Context, at int64) (io.ReadCloser, int64, error) {
		cancel()
		theirs = ctx.Err() != nil
		return endless(reset, 0)(ctx, at)
	}, 100)
	check.ErrorIs(t, "read, the context ends", err, context.Canceled)
	check.True(t, "the context that open gets", theirs, "one that does not end with the caller's", "the caller's, or one made of it")
	endsBetween(t)
}

// endsBetween ends the context, and closes the reader, between two reads of which the
// first came with an error.
func endsBetween(t *testing.T) {
	t.Helper()
	ends := func(did string, end func(cancel func(), r io.Closer)) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var asked, opened atomic.Int32
		r, err := check.Within(t, "Resume", "its return", func() (io.ReadCloser, error) {
			return Resume(ctx, func(_ context.Context, at int64) (io.ReadCloser, int64, error) {
				asked.Add(1)
				opened.Add(1)
				return &counting{iotest.DataErrReader(io.MultiReader(strings.NewReader("ten bytes."), broken{reset})), &opened}, at, nil
			}, 0, 100)
		})
		check.NoError(t, "Resume", err)
		_, err = check.Within(t, did, "the first ten bytes", func() (int, error) { return io.ReadFull(r, make([]byte, 10)) })
		check.NoError(t, did, err)
		for soon := time.Now().Add(check.Deadline / 250); asked.Load() == 1 && time.Now().Before(soon); {
			time.Sleep(time.Millisecond) // who goes on by itself may do so now
		}
		before := asked.Load()
		end(cancel, r)
		_, err = check.Within(t, did, "its end", func() (int, error) { return io.ReadFull(r, make([]byte, 1000)) })
		check.True(t, did, asked.Load() == before, "open was called again", "no call of open any more", check.Often(true, "whether it may go on is asked only at the break, and not when it goes on"))
		r.Close()
		check.Equal(t, "bodies that are open afterwards", int32(0), max(opened.Load(), 0))
		return err
	}
	err := ends("read on, the context has ended", func(cancel func(), _ io.Closer) { cancel() })
	check.ErrorIs(t, "read on, the context has ended", err, context.Canceled)
	err = ends("read on after Close", func(_ func(), r io.Closer) { r.Close() })
	check.True(t, "read on after Close", err != nil && !errors.Is(err, io.EOF), check.Error(err), "an error that is not io.EOF")
}

type counting struct {
	io.Reader
	open *atomic.Int32
}

func (c *counting) Close() error { c.open.Add(-1); return nil }

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
		query := r.URL.Query().Encode()
		if r.Method == http.MethodPut {
			query = r.URL.RawQuery
		}
		u.log = append(u.log, strings.TrimSuffix(r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v2/app/")+"?"+query, "?"))
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
			w.Header().Set("Location", "/elsewhere/place?state=a%2Bb;c&n=1")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPut && r.URL.Query().Get("digest") == string(d.Digest):
			got = string(body)
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	u.Config.ErrorLog = discard // what Go's server thinks of a semicolon
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
	check.NoError(t, "PushBlob", err)
	check.Equal(t, "what arrived", string(data), got)
	first, put, _ := strings.Cut(log, ", PUT ")
	check.Equal(t, "what was asked first", head+", POST blobs/uploads/", first, check.Often(!strings.HasPrefix(log, "HEAD"), "a blob is sent that the registry has"))
	place, query, _ := strings.Cut(put, "?")
	check.Equal(t, "where it was put", "/elsewhere/place", place, check.Often(place == "place", "Location is not resolved against the URL of the request"))
	check.True(t, "the query of PUT", strings.HasSuffix("&"+query, "&state=a%2Bb;c&n=1") || strings.HasPrefix(query, "state=a%2Bb;c&n=1&"), query, "digest, and state=a%2Bb;c&n=1 as it is",
		check.Often(!strings.Contains(query, "n=1"), "the query that Location has is lost"), check.Often(true, "the query that Location has is written anew"))
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
	check.True(t, "PushBlob of one that is there", log == head && opened == 0, fmt.Sprintf("%s; content opened: %d", log, opened), head+"; content opened: 0",
		check.Often(strings.Contains(log, "POST"), "a blob is sent that the registry has"), check.Often(opened > 0, "content is opened before anybody asked for it"))
	u.answer = func(w http.ResponseWriter, r *http.Request, body []byte) { w.WriteHeader(http.StatusForbidden) }
	_, err = push("")
	check.ErrorIs(t, "PushBlob that is forbidden", err, ErrDenied)
	u.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) {
		w.WriteHeader(map[string]int{http.MethodHead: http.StatusNotFound, http.MethodPost: http.StatusCreated}[r.Method])
	}
	log, err = push("")
	check.True(t, "PushBlob, 201 to a POST that did not ask to mount", err != nil, log, "an error: nothing was sent yet")
	pushScopes(t, c, to, u, d, content)
	pushInTheClear(t, to, d, content)
}

// pushScopes pushes to a registry that wants a token, which says what it is good for.
func pushScopes(t *testing.T, c *Client, to Reference, u *uploads, d Descriptor, content func() (io.ReadCloser, error)) {
	t.Helper()
	may := map[string]string{} // by method
	u.answer = func(w http.ResponseWriter, r *http.Request, _ []byte) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case r.URL.Path == "/token":
			fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, strings.Join(r.URL.Query()["scope"], "+"))
			return
		case token == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+u.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		may[r.Method] = token
		w.Header().Set("Location", "/place")
		w.WriteHeader(map[string]int{http.MethodHead: http.StatusNotFound, http.MethodPost: http.StatusAccepted, http.MethodPut: http.StatusCreated}[r.Method])
	}
	_, err := check.Within(t, "PushBlob to who wants a token", "its return", func() (int, error) { return 0, c.PushBlob(t.Context(), to, d, "lib", content) })
	check.NoError(t, "PushBlob to who wants a token", err)
	const one, two = "repository:app:pull,push", "repository:app:pull,push+repository:lib:pull"
	for method, want := range map[string]string{http.MethodHead: one, http.MethodPost: two, http.MethodPut: one} {
		check.Equal(t, "what the token of "+method+" is good for", want, may[method],
			check.Often(strings.Contains(may[method], "lib:pull,push"), "FROM is only read: pull is enough"),
			check.Often(want == two && may[method] == one, "only one scope is asked for: a mount needs two"),
			check.Often(want == one && may[method] == two, "FROM's scope is asked for with every request: it is for the POST alone"),
			check.Often(!strings.Contains(may[method], ",push"), "who sends needs more than pull"))
	}
}

// pushInTheClear pushes to a registry over TLS that names a place without.
func pushInTheClear(t *testing.T, to Reference, d Descriptor, content func() (io.ReadCloser, error)) {
	t.Helper()
	plain := newUploads(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusCreated) })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", plain.URL+"/place")
		w.WriteHeader(map[string]int{http.MethodGet: http.StatusOK, http.MethodHead: http.StatusNotFound, http.MethodPost: http.StatusAccepted}[r.Method])
	}))
	t.Cleanup(secure.Close)
	c, _ := newClient(t, Options{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})})
	to.Registry = strings.TrimPrefix(secure.URL, "https://")
	_, err := check.Within(t, "PushBlob over TLS, Location is http", "its return", func() (int, error) { return 0, c.PushBlob(t.Context(), to, d, "", content) })
	check.True(t, "PushBlob over TLS, Location is http", err != nil && len(plain.log) == 0, check.Error(err)+"; in the clear: "+strings.Join(plain.log, ", "), "an error, and nothing sent",
		check.Often(true, "c.location knows which places are refused, and is not asked"))
}
