// Alternative: a goroutine copies body after body into an io.Pipe, and requests of a push are a table.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (c *Client) Authorize(ctx context.Context, ref Reference, challenges []Challenge, scopes []string) (string, time.Time, error) {
	var never time.Time
	who, err := c.credentials(ref.Registry)
	if err != nil {
		return "", never, err
	}
	var basic, bearer *Challenge
	for i := range challenges {
		switch challenges[i].Scheme {
		case "basic":
			basic = &challenges[i]
		case "bearer":
			bearer = &challenges[i]
		}
	}
	switch {
	case bearer != nil:
		server, err := tokenServer(bearer.Params, scopes, c.secure(ref))
		if err != nil {
			return "", never, err
		}
		now := c.now()
		token, good, err := c.fetchToken(ctx, server, who)
		if err != nil {
			return "", never, fmt.Errorf("its token server: %w", err)
		}
		return "Bearer " + token, now.Add(good), nil
	case basic == nil:
		return "", never, errors.New("neither Basic nor Bearer is offered")
	case who == Credential{}:
		return "", never, ErrDenied
	}
	r, _ := http.NewRequest("GET", "/", nil)
	r.SetBasicAuth(who.User, who.Password)
	return r.Header.Get("Authorization"), never, nil
}

func tokenServer(params map[string]string, scopes []string, tls bool) (string, error) {
	u, err := url.Parse(params["realm"])
	if err != nil {
		return "", fmt.Errorf("its token server: %w", err)
	}
	if allowed := u.Scheme == "https" || u.Scheme == "http" && !tls; !allowed || u.Host == "" {
		return "", errors.New("its token server is not one to send a password to")
	}
	add := []string{}
	if s := params["service"]; s != "" {
		add = append(add, "service="+url.QueryEscape(s))
	}
	for _, s := range scopes {
		add = append(add, "scope="+url.QueryEscape(s))
	}
	if u.RawQuery != "" {
		add = append([]string{u.RawQuery}, add...)
	}
	u.RawQuery = strings.Join(add, "&")
	return u.String(), nil
}

func Resume(ctx context.Context, open func(ctx context.Context, from int64) (body io.ReadCloser, at int64, err error), from, size int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	body, at, err := open(ctx, from)
	if err != nil {
		cancel()
		return nil, err
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		next := from
		for calls := 1; ; {
			_, err := io.CopyN(io.Discard, body, next-at)
			var n int64
			if err == nil {
				n, err = io.CopyN(w, body, size-next)
			}
			body.Close()
			if next += n; next >= size {
				w.Close()
				return
			}
			if n > 0 {
				calls = 0
			}
			switch {
			case errors.Is(err, io.ErrClosedPipe):
				return
			case ctx.Err() != nil:
				err = ctx.Err()
			case err == io.EOF:
				err = io.ErrUnexpectedEOF
				fallthrough
			default:
				if calls < maxBreaks {
					calls++
					if body, at, err = open(ctx, next); err == nil {
						continue
					}
				} else {
					err = fmt.Errorf("byte %d of %d: %w", next, size, err)
				}
			}
			w.CloseWithError(err)
			return
		}
	}()
	return &piped{r, cancel, ended}, nil
}

type piped struct {
	*io.PipeReader
	cancel func()
	ended  chan struct{}
}

func (p *piped) Close() error {
	p.PipeReader.Close()
	p.cancel()
	<-p.ended
	return nil
}

func (c *Client) PushBlob(ctx context.Context, to Reference, d Descriptor, from string, content func() (io.ReadCloser, error)) error {
	scopes := []string{"repository:" + to.Repository + ":pull,push"}
	mount, mountScopes, mounted := "", scopes, 0 // no status
	if from != "" {
		mount = "?mount=" + url.QueryEscape(string(d.Digest)) + "&from=" + url.QueryEscape(from)
		mounted = http.StatusCreated
		mountScopes = []string{scopes[0], "repository:" + from + ":pull"}
	}
	var last *http.Response
	for _, step := range []struct {
		method, url string
		scopes      []string
		done, goOn  int
	}{
		{http.MethodHead, "blobs/" + string(d.Digest), scopes, http.StatusOK, http.StatusNotFound},
		{http.MethodPost, "blobs/uploads/" + mount, mountScopes, mounted, http.StatusAccepted},
	} {
		resp, err := c.ask(ctx, to, step.method, step.url, step.scopes, step.done, step.goOn)
		if err != nil || resp.StatusCode == step.done {
			return err
		}
		last = resp
	}
	place, err := c.location(last)
	if err != nil {
		return err
	}
	if place.RawQuery != "" {
		place.RawQuery += "&"
	}
	place.RawQuery += "digest=" + url.QueryEscape(string(d.Digest))
	return c.upload(ctx, to, place.String(), scopes, d, content)
}
