package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A call is one thing that is asked of a registry.
type call struct {
	ref    Reference
	method string
	url    string   // absolute, or a path below /v2/NAME/
	scopes []string // what a token is asked for; nil: to pull from ref's repository
	header http.Header
	body   func() (io.ReadCloser, error) // opened again for each try; nil: none
	size   int64                         // of the body
	want   []int                         // the statuses that are an answer
	once   bool                          // an upload cannot be sent to the same place again
}

// do makes a call until it is answered: who asks is said where the registry wants to
// know (Authorize, 3.7), and a registry that is not well gets time (429, 5xx, a
// broken connection).
//
// Errors: *Error for an answer that is not one of want.
func (c *Client) do(ctx context.Context, q *call) (*http.Response, error) {
	if q.scopes == nil {
		q.scopes = []string{"repository:" + q.ref.Repository + ":pull"}
	}
	base, err := c.base(ctx, q.ref)
	if err != nil {
		return nil, err
	}
	to := q.url
	if !strings.Contains(to, "://") {
		to = base + "/v2/" + q.ref.Repository + "/" + to
	}
	key := q.ref.Registry + " " + strings.Join(q.scopes, " ")
	asked := false // a token that is refused is replaced once
	for try := 1; ; try++ {
		resp, err := c.send(ctx, q, to, c.remembered(key, base, to))
		var after time.Duration
		switch {
		case err != nil:
			if try == tries || q.once || !again(err) {
				return nil, err
			}
		case slices.Contains(q.want, resp.StatusCode):
			return resp, nil
		case resp.StatusCode == http.StatusUnauthorized && !asked && sameOrigin(resp.Request.URL, base):
			resp.Body.Close()
			asked = true
			header, until, err := c.Authorize(ctx, q.ref, ParseChallenges(resp.Header), q.scopes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.ref.Registry, err)
			}
			c.remember(key, authorization{header, until})
			continue
		case try < tries && !q.once && busy(resp):
			after = retryAfter(resp)
			resp.Body.Close()
		default:
			return nil, answer(resp)
		}
		if err := c.wait(ctx, max(after, backoff(try))); err != nil {
			return nil, err
		}
	}
}

// backoff is the pause after a try that failed: 0.2 s, 0.4 s, and so on.
func backoff(try int) time.Duration { return 100 * time.Millisecond << min(try, 6) }

// busy says whether a registry has too much to do, or is not well, for now.
func busy(r *http.Response) bool {
	return r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented
}

// retryAfter is the pause that the registry asks for, a minute at most.
func retryAfter(r *http.Response) time.Duration {
	seconds, _ := strconv.Atoi(r.Header.Get("Retry-After")) // a date is left to backoff
	return min(time.Duration(max(seconds, 0))*time.Second, time.Minute)
}

// again says whether a request that got no answer may get one the next time.
func again(err error) bool {
	var final *finalError
	return !errors.As(err, &final) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// A finalError is one that no second try can change.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// send makes one request.
func (c *Client) send(ctx context.Context, q *call, to, authorization string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, q.method, to, nil)
	if err != nil {
		cancel(nil)
		return nil, &finalError{err}
	}
	if q.header != nil {
		req.Header = q.header.Clone()
	}
	req.Header.Set("User-Agent", "coracle")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if q.body != nil {
		req.GetBody, req.ContentLength = q.body, q.size
		if req.Body, err = q.body(); err != nil {
			cancel(nil)
			return nil, &finalError{err}
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("%s %s: %w", q.method, bare(req.URL), plainCause(err))
	}
	timer := time.AfterFunc(c.idle, func() { cancel(errStalled) })
	timer.Stop()
	resp.Body = &watched{resp.Body, cancel, timer, c.idle, ctx}
	return resp, nil
}

// plainCause takes what is known off an error of net/http: the URL, whose query may
// hold a secret. Nobody who answers at an address, a certificate and a redirect that
// are refused: that stays so.
func plainCause(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var cert *tls.CertificateVerificationError
	var dial *net.OpError
	switch {
	case errors.As(err, &cert):
		return &finalError{fmt.Errorf("%w; if its authority is your own, name it with --ca", err)}
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, http.ErrSchemeMismatch):
		return &finalError{err}
	}
	return err
}

func sameOrigin(u *url.URL, base string) bool { return u.Scheme+"://"+u.Host == base }

// remembered returns the header for a request, if it goes to the registry itself.
func (c *Client) remembered(key, base, to string) string {
	if u, err := url.Parse(to); err != nil || !sameOrigin(u, base) {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.known[key]
	if !a.until.IsZero() && !c.now().Before(a.until) {
		return ""
	}
	return a.header
}

func (c *Client) remember(key string, a authorization) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = a
}

var errStalled = errors.New("nothing came for too long")

// A watched body ends its request when it brings nothing for some time.
type watched struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	ctx    context.Context
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.idle)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop() // who reads slowly is not the registry's fault
	if err != nil && err != io.EOF && context.Cause(w.ctx) != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}
