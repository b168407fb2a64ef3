// Alternative: a body that broke is gone at once; what is to be skipped and what came last are kept for the next read.
package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Authorize answers a 401.
func (c *Client) Authorize(ctx context.Context, ref Reference, challenges []Challenge, scopes []string) (header string, until time.Time, err error) {
	if ch, ok := offered(challenges, "bearer"); ok {
		return c.bearer(ctx, ref, ch.Params, scopes)
	}
	if _, ok := offered(challenges, "basic"); !ok {
		return "", time.Time{}, errors.New("it offers no way to say who asks that is known here: neither Basic nor Bearer")
	}
	who, err := c.credentials(ref.Registry)
	if err != nil {
		return "", time.Time{}, err
	}
	if who.User == "" {
		return "", time.Time{}, fmt.Errorf("it wants a user and a password, and there are none: %w", ErrDenied)
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(who.User+":"+who.Password)), time.Time{}, nil
}

// bearer gets a token.
func (c *Client) bearer(ctx context.Context, ref Reference, params map[string]string, scopes []string) (header string, until time.Time, err error) {
	realm, err := url.Parse(params["realm"])
	if err != nil || realm.Hostname() == "" || realm.Scheme != "https" && (realm.Scheme != "http" || c.secure(ref)) {
		// Not the error of url.Parse: it quotes what a stranger wrote.
		return "", time.Time{}, fmt.Errorf("its token server is refused, %q: neither https nor what the registry is reached by", clean(params["realm"]))
	}
	query := ""
	if service := params["service"]; service != "" {
		query += "&service=" + url.QueryEscape(service)
	}
	for _, scope := range scopes {
		query += "&scope=" + url.QueryEscape(scope)
	}
	if realm.RawQuery == "" && query != "" {
		query = query[1:]
	}
	realm.RawQuery += query
	who, err := c.credentials(ref.Registry)
	if err != nil {
		return "", time.Time{}, err
	}
	asked := c.now()
	token, good, err := c.fetchToken(ctx, realm.String(), who)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("its token server: %w", err)
	}
	return "Bearer " + token, asked.Add(good), nil
}

// Resume reads a blob of size bytes from byte `from` on, and goes on where it was.
func Resume(ctx context.Context, open func(ctx context.Context, from int64) (body io.ReadCloser, at int64, err error), from, size int64) (io.ReadCloser, error) {
	r := &resumed{ctx: ctx, open: open, pos: from, size: size}
	if err := r.reopen(); err != nil {
		return nil, err
	}
	return r, nil
}

// resumed is a blob that is read in as many pieces as it takes.
type resumed struct {
	ctx  context.Context
	open func(ctx context.Context, from int64) (io.ReadCloser, int64, error)

	pos, size int64
	body      io.ReadCloser // nil: broken
	skip      int64         // bytes of body that were read before
	calls     int           // of open, since the last byte
	err       error         // nothing comes after it
}

func (r *resumed) reopen() error {
	r.calls++
	body, at, err := r.open(r.ctx, r.pos)
	if err != nil {
		return err
	}
	r.body, r.skip = body, r.pos-at
	return nil
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		switch {
		case r.err != nil:
			return 0, r.err
		case r.pos >= r.size:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		case r.body == nil:
			if r.ctx.Err() != nil {
				r.err = context.Cause(r.ctx)
			} else {
				r.err = r.reopen()
			}
			if r.err != nil {
				continue
			}
		}
		n, err := r.next(p[:min(int64(len(p)), r.size-r.pos)])
		if n > 0 {
			r.calls, r.pos = 0, r.pos+int64(n)
		}
		if err != nil && r.pos < r.size {
			r.broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next reads what was not read before.
func (r *resumed) next(p []byte) (int, error) {
	if r.skip > 0 {
		n, err := io.CopyN(io.Discard, r.body, r.skip)
		if r.skip -= n; err != nil {
			return 0, err
		}
	}
	return r.body.Read(p)
}

// broken decides whether another try is worth it.
func (r *resumed) broken(err error) {
	r.body.Close()
	r.body = nil
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if r.calls >= maxBreaks && r.ctx.Err() == nil { // else Read says that ctx has ended
		r.err = fmt.Errorf("broke off at byte %d of %d: %w", r.pos, r.size, err)
	}
}

func (r *resumed) Close() error {
	r.err = os.ErrClosed
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}

// PushBlob sends a blob to a repository, unless it is there.
func (c *Client) PushBlob(ctx context.Context, to Reference, d Descriptor, from string, content func() (io.ReadCloser, error)) error {
	scopes := []string{"repository:" + to.Repository + ":pull,push"}
	resp, err := c.ask(ctx, to, http.MethodHead, "blobs/"+string(d.Digest), scopes, http.StatusOK, http.StatusNotFound)
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	place, toMount, want := "blobs/uploads/", scopes, []int{http.StatusAccepted}
	if from != "" {
		place += "?" + url.Values{"mount": {string(d.Digest)}, "from": {from}}.Encode()
		toMount = append(toMount, "repository:"+from+":pull")
		want = append(want, http.StatusCreated)
	}
	resp, err = c.ask(ctx, to, http.MethodPost, place, toMount, want...)
	if err != nil || resp.StatusCode == http.StatusCreated {
		return err
	}
	u, err := c.location(resp)
	if err != nil {
		return err
	}
	query := "digest=" + url.QueryEscape(string(d.Digest))
	if u.RawQuery != "" { // the registry's own, not ours to write anew
		query += "&" + u.RawQuery
	}
	u.RawQuery = query
	return c.upload(ctx, to, u.String(), scopes, d, content)
}
