// Mistake: credentials are sent wherever a registry says, also in the clear
package remote

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Authorize answers a 401.
func (c *Client) Authorize(ctx context.Context, ref Reference, challenges []Challenge, scopes []string) (header string, until time.Time, err error) {
	who, err := c.credentials(ref.Registry)
	if err != nil {
		return "", until, err
	}
	if ch, ok := offered(challenges, "bearer"); ok {
		return c.refToken(ctx, ref, ch, scopes, who)
	}
	if _, ok := offered(challenges, "basic"); !ok {
		return "", until, errors.New("it asks for credentials of a kind that is not known here")
	}
	if who.User == "" {
		return "", until, fmt.Errorf("%w: it wants a user and a password", ErrDenied)
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(who.User+":"+who.Password)), until, nil
}

func (c *Client) refToken(ctx context.Context, ref Reference, ch Challenge, scopes []string, who Credential) (header string, until time.Time, err error) {
	realm, err := url.Parse(ch.Params["realm"])
	if err != nil {
		return "", until, fmt.Errorf("its token server %q is not one to send credentials to", clean(ch.Params["realm"]))
	}
	more := url.Values{"scope": scopes}
	if service := ch.Params["service"]; service != "" {
		more.Set("service", service)
	}
	refAdd(realm, more)
	asked := c.now() // not when the answer is here: it may have been long on its way
	token, good, err := c.fetchToken(ctx, realm.String(), who)
	if err != nil {
		return "", until, fmt.Errorf("its token server: %w", err)
	}
	return "Bearer " + token, asked.Add(good), nil
}

// Resume reads a blob of size bytes from byte `from` on, and goes on where it was.
func Resume(ctx context.Context, open func(ctx context.Context, from int64) (body io.ReadCloser, at int64, err error), from, size int64) (io.ReadCloser, error) {
	r := &refResumed{ctx: ctx, open: open, at: from, size: size}
	return r, r.reopen()
}

type refResumed struct {
	ctx      context.Context
	open     func(context.Context, int64) (io.ReadCloser, int64, error)
	body     io.ReadCloser
	at, size int64 // the next byte that is handed out, and the end
	calls    int   // of open, since a byte came
	err      error // nothing comes after it
}

func (r *refResumed) reopen() error {
	r.calls++
	body, at, err := r.open(r.ctx, r.at)
	if err == nil {
		r.body = body
		io.CopyN(io.Discard, body, r.at-at) // where this breaks off, Read finds it broken
	}
	return err
}

func (r *refResumed) Read(p []byte) (int, error) {
	for r.err == nil && r.at < r.size {
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.at)])
		if n > 0 {
			r.at, r.calls = r.at+int64(n), 0
		}
		if n > 0 || err == nil {
			return n, nil // an error comes again with the next read
		}
		r.err = r.broken(err)
	}
	return 0, cmp.Or(r.err, io.EOF)
}

// broken goes on with another body, if that may help.
func (r *refResumed) broken(err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if r.calls >= maxBreaks {
		return fmt.Errorf("broken off at byte %d of %d, %d times: %w", r.at, r.size, r.calls, err)
	}
	r.body.Close()
	return r.reopen()
}

func (r *refResumed) Close() error { r.err = errors.New("read after Close"); return r.body.Close() }

// PushBlob sends a blob to a repository, unless it is there.
func (c *Client) PushBlob(ctx context.Context, to Reference, d Descriptor, from string, content func() (io.ReadCloser, error)) error {
	scopes := []string{"repository:" + to.Repository + ":pull,push"}
	resp, err := c.ask(ctx, to, http.MethodHead, "blobs/"+string(d.Digest), scopes, http.StatusOK, http.StatusNotFound)
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	post, may, want := "blobs/uploads/", scopes, []int{http.StatusAccepted}
	if from != "" {
		post += "?" + url.Values{"mount": {string(d.Digest)}, "from": {from}}.Encode()
		may = append(may, "repository:"+from+":pull")
		want = append(want, http.StatusCreated)
	}
	resp, err = c.ask(ctx, to, http.MethodPost, post, may, want...)
	if err != nil || resp.StatusCode == http.StatusCreated {
		return err
	}
	place, err := c.location(resp)
	if err != nil {
		return err
	}
	refAdd(place, url.Values{"digest": {string(d.Digest)}})
	return c.upload(ctx, to, place.String(), scopes, d, content)
}

// refAdd leaves the query that is there as it is, byte for byte: it is somebody else's.
func refAdd(u *url.URL, more url.Values) {
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+more.Encode(), "&")
}
