package remote

import (
	"context"
	"io"
	"time"

	"coracle/internal/exercise"
)

// Exercise 3.7: authentication, resuming, push
//
// A registry says itself what it wants to know: it answers 401, and WWW-Authenticate
// says how to ask again, with a password or with a token from another server.
//
//	GET manifests/1 ─▶ 401  Bearer realm="https://auth.example/token",service="reg"
//	  GET https://auth.example/token?service=reg&scope=repository:app:pull  (Basic, if there is a password)
//	  ◀─ {"token": "abc", "expires_in": 300}
//	GET manifests/1, Authorization: Bearer abc ─▶ 200
//
// A connection breaks; a large layer is not begun again for that: Range asks for what
// is missing, and a registry may answer with all of it instead (206 or 200). And what
// a registry has is not sent again:
//
//	HEAD blobs/DIGEST                                ─▶ 200: done; 404: go on
//	POST blobs/uploads/?mount=DIGEST&from=REPOSITORY ─▶ 201: done, another repository had it
//	                                                 ─▶ 202, Location: where to send it
//	PUT  LOCATION with digest=DIGEST in its query    ─▶ 201
//
// Spec: distribution-spec, spec.md, "Pushing blobs"; distribution,
// docs/spec/auth/token.md; RFC 9110, 11.6.1 and 14. In full size: containerd,
// core/remotes/docker (authorizer.go, httpreadseeker.go, pusher.go).
//
// Delete this line when you start:
var _ = todo("3.7")

// Authorize answers a 401: it returns the value of the Authorization header with
// which c.do asks again, and until when that is good; the zero time means for ever.
//
//	Basic realm="reg", ann and s:cret        → "Basic YW5uOnM6Y3JldA==", zero
//	Bearer realm="https://auth.example/token?x=1",service="reg",
//	  scopes repository:app:pull,push and repository:lib:pull → it asks
//	  https://auth.example/token?x=1&service=reg&scope=repository:app:pull,push&scope=repository:lib:pull
//	  (escaped), gets "abc" for 300 s        → "Bearer abc", 300 s after it asked
//
// Bearer is taken where both are offered: the password then goes to the token server
// alone. Each of scopes is a parameter of its own; what the challenge says of a scope
// does not count. The query that the realm has is kept byte for byte; service is added
// if the challenge has one that is not empty. Without credentials the token server is
// asked all the same: it may have tokens for anybody. The time begins when it is asked,
// for the answer may be long on its way.
//
// A registry could name any address as its token server. Credentials go only to an
// absolute https URL with a host, or to one of http if the registry itself is spoken
// to in the clear (c.secure says no). Anything else is an error and nothing is sent.
//
// Errors: c.credentials' as it is; ErrDenied where Basic wants credentials and there are
// none; neither Basic nor Bearer offered; c.fetchToken's (ErrDenied where the server
// refuses) wrapped with "its token server: ".
//
// May use: c.credentials(ref.Registry), offered, c.secure, c.fetchToken, c.now, clean;
// net/url, encoding/base64.
func (c *Client) Authorize(ctx context.Context, ref Reference, challenges []Challenge, scopes []string) (header string, until time.Time, err error) {
	return "", time.Time{}, exercise.Unwritten("3.7")
}

// Resume reads a blob of size bytes from byte `from` on, and goes on where it was
// when the connection breaks. open asks the registry once. What comes begins at
// `at`: where it was asked for, or at 0 where the registry takes no notice of Range;
// what was read before is then skipped, and what is skipped is no byte more. Resume
// itself calls open for the first time. Each call gets ctx, or one made of it.
//
//	size 100, from 0: open(0), 30 bytes and a reset → open(30), 70 bytes → io.EOF
//
// The reader ends with io.EOF after size bytes and never gives more: an endless body
// is cut off there, and whoever knows the digest finds the rest out. A body that ends
// before is broken like one that fails. A body may give its last bytes together with
// its error (io.Reader): they count. A broken body is closed before open is called
// again; Close closes the last one. After Close, Read fails and open is not called.
//
// Errors: open's, as it is and at once, for it has tried what can be tried. ctx's, once
// ctx has ended: open is not called again then, whenever the break was. The read's,
// wrapped, if maxBreaks calls of open in a row have not helped to one byte more
// (io.ErrUnexpectedEOF where the body only ended); it says how far it came: "… byte 0
// of 100 …". A byte that comes makes up for all breaks before it.
//
//	nothing ever comes                → open is called maxBreaks times
//	open(0) brings 10 bytes, no other → 1 + maxBreaks times
//
// May use: maxBreaks, io.CopyN. c.open waits between tries, Resume need not.
func Resume(ctx context.Context, open func(ctx context.Context, from int64) (body io.ReadCloser, at int64, err error), from, size int64) (io.ReadCloser, error) {
	return nil, exercise.Unwritten("3.7")
}

// PushBlob sends a blob to a repository, unless it is there. The requests are those
// above, in this order. from is a repository of the same registry that may have the
// blob, or "": then the POST has no query. A registry that cannot mount answers 202 as
// if it had not been asked to; 201 means that the blob is there now, and nothing is
// sent. A POST that does not ask to mount gets 202, and 201 is no answer to it.
//
// LOCATION may be relative, and its query is the registry's own: it is kept byte for
// byte, digest is added to it. Every request is made with the scope
// "repository:NAME:pull,push"; the POST that asks to mount, and it alone, adds
// "repository:FROM:pull".
//
//	PushBlob(…/app:1, {sha256:12…}, "", …), Location /up/7?state=a%2Bb → PUT /up/7?digest=sha256%3A12…&state=a%2Bb
//
// Errors: those of the calls, as they are (ErrDenied, …), c.location's too: a registry
// reached by https that names a place by http gets nothing. content is opened by
// c.upload alone: not at all where the registry has the blob.
//
// May use: c.ask for HEAD and POST (a URL without "://" is taken below /v2/NAME/; what
// is none of the statuses in want is an error), c.location, c.upload; url.Values.
//
// Done when: `./lab test 3.7` is green.
func (c *Client) PushBlob(ctx context.Context, to Reference, d Descriptor, from string, content func() (io.ReadCloser, error)) error {
	return exercise.Unwritten("3.7")
}
