package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Authorize answers a 401: it returns the value of the Authorization header with
// which the request is made again, and until when that is good (zero: for ever).
//
//	Bearer realm="https://auth.example/token",service="reg" → GET
//	  https://auth.example/token?service=reg&scope=repository:app:pull,push
//	  ← {"token": "abc", "expires_in": 300} → "Bearer abc", in 300 s
//	Basic realm="reg" → "Basic " + base64("user:password")
//
// Bearer is taken where both are offered: the password then goes to the token server
// alone, as Basic, and without credentials the token is that of an anonymous user
// (distribution, docs/spec/auth/token.md). The query that the realm has is kept.
//
// Errors: ErrDenied where there are no credentials and Basic wants some, and where
// the token server refuses; a realm that is no absolute URL, or not https while the
// registry is spoken to over TLS (c.secure): nothing is sent to it.
//
// May use: c.credentials, c.secure, c.fetchToken, http.Request.SetBasicAuth.
func (c *Client) Authorize(ctx context.Context, ref Reference, challenges []Challenge, scopes []string) (header string, until time.Time, err error) {
	who, err := c.credentials(ref.Registry)
	if err != nil {
		return "", until, err
	}
	// The only way that both take a password: let net/http write the header.
	basic := &http.Request{Header: http.Header{}}
	if who.User != "" {
		basic.SetBasicAuth(who.User, who.Password)
	}
	offer := func(scheme string) int {
		return slices.IndexFunc(challenges, func(ch Challenge) bool { return ch.Scheme == scheme })
	}
	if i := offer("bearer"); i >= 0 {
		return c.refToken(ctx, ref, challenges[i], scopes, basic.Header)
	}
	if offer("basic") < 0 {
		return "", until, fmt.Errorf("it asks for credentials of a kind that is not known here")
	}
	if who.User == "" {
		return "", until, fmt.Errorf("%w: it wants a user and a password", ErrDenied)
	}
	return basic.Header.Get("Authorization"), until, nil
}

func (c *Client) refToken(ctx context.Context, ref Reference, ch Challenge, scopes []string, basic http.Header) (header string, until time.Time, err error) {
	realm, err := url.Parse(ch.Params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && (realm.Scheme != "http" || c.secure(ref)) {
		return "", until, fmt.Errorf("its token server %q is not one to send credentials to", clean(ch.Params["realm"]))
	}
	query := realm.Query()
	if service := ch.Params["service"]; service != "" {
		query.Set("service", service)
	}
	query["scope"] = scopes
	realm.RawQuery = query.Encode()
	asked := c.now() // not when the answer is here: it may have been long on its way
	token, good, err := c.fetchToken(ctx, realm.String(), basic)
	if err != nil {
		return "", until, fmt.Errorf("its token server: %w", err)
	}
	return "Bearer " + token, asked.Add(good), nil
}

// Resume reads a blob of size bytes from byte `from` on, and goes on where it was
// when the connection breaks. open asks the registry once; what comes begins at
// `at`: where it was asked for, or at 0 where the registry takes no notice of Range
// (what is known already is then skipped). open is first called by Resume itself.
//
// The reader ends with io.EOF after size bytes, and never gives more: an endless
// body is cut off there, and whoever knows the digest finds the rest out.
//
// Errors: open's, at once: it has tried what can be tried. ctx's. A broken read
// after maxBreaks in a row that brought nothing, wrapping the read's error, or
// io.ErrUnexpectedEOF where the body only ended early.
func Resume(ctx context.Context, open func(ctx context.Context, from int64) (body io.ReadCloser, at int64, err error), from, size int64) (io.ReadCloser, error) {
	r := &refResumed{ctx: ctx, open: open, at: from, size: size}
	return r, r.reopen()
}

type refResumed struct {
	ctx      context.Context
	open     func(context.Context, int64) (io.ReadCloser, int64, error)
	body     io.ReadCloser
	at, size int64 // the next byte that is handed out, and the end
	breaks   int   // since a byte came
}

func (r *refResumed) reopen() error {
	body, at, err := r.open(r.ctx, r.at)
	if err != nil {
		return err
	}
	r.body = body
	io.CopyN(io.Discard, body, r.at-at) // where this breaks off, Read finds it broken
	return nil
}

func (r *refResumed) Read(p []byte) (int, error) {
	for r.at < r.size {
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.at)])
		if n > 0 {
			r.at, r.breaks = r.at+int64(n), 0
			return n, nil // an error comes again with the next read
		}
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
		if err == nil {
			continue
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if r.breaks++; r.breaks > maxBreaks {
			return 0, fmt.Errorf("broken off at byte %d of %d, %d times: %w", r.at, r.size, r.breaks, err)
		}
		r.body.Close()
		if err := r.reopen(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

func (r *refResumed) Close() error { return r.body.Close() }

// PushBlob sends a blob to a repository, unless it is there:
//
//	HEAD blobs/DIGEST                                → 200: done
//	POST blobs/uploads/?mount=DIGEST&from=REPOSITORY → 201: done, the registry had it
//	                                                 → 202, Location: where to send it
//	PUT  LOCATION, with digest=DIGEST added to its query, and the bytes → 201
//
// from is a repository of the same registry that may have the blob, or "": no mount
// is asked for then. To mount, a token must allow to pull from it, too. content is
// called for each try.
//
// Errors: the call's.
// May use: c.do, c.location.
func (c *Client) PushBlob(ctx context.Context, to Reference, d Descriptor, from string, content func() (io.ReadCloser, error)) error {
	scopes := []string{"repository:" + to.Repository + ":pull,push"}
	resp, err := c.do(ctx, &call{ref: to, method: http.MethodHead, url: "blobs/" + string(d.Digest), scopes: scopes, want: []int{http.StatusOK, http.StatusNotFound}})
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	post := &call{ref: to, method: http.MethodPost, url: "blobs/uploads/", scopes: scopes, want: []int{http.StatusAccepted}}
	if from != "" {
		post.url += "?" + url.Values{"mount": {string(d.Digest)}, "from": {from}}.Encode()
		post.scopes = append(post.scopes, "repository:"+from+":pull")
		post.want = append(post.want, http.StatusCreated)
	}
	if resp, err = c.do(ctx, post); err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return nil
	}
	place, err := c.location(resp)
	if err != nil {
		return err
	}
	query := place.Query()
	query.Set("digest", string(d.Digest))
	place.RawQuery = query.Encode()
	resp, err = c.do(ctx, &call{ref: to, method: http.MethodPut, url: place.String(), scopes: scopes, want: []int{http.StatusCreated},
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: content, size: d.Size, once: true})
	if err == nil {
		resp.Body.Close()
	}
	return err
}
