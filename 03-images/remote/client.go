package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Options say how registries are reached.
type Options struct {
	CA        []byte   // PEM: believed besides the system's authorities
	PlainHTTP []string // registries ("host:port") that speak no TLS; loopback addresses need not be named
	// Credentials for a registry; nil: from AuthFile().
	Credentials func(registry string) (Credential, error)
}

// A Client speaks to registries. Several goroutines may use it.
type Client struct {
	http        *http.Client
	plain       []string
	credentials func(registry string) (Credential, error)

	// Time, so that tests need none of it.
	now  func() time.Time
	wait func(context.Context, time.Duration) error
	idle time.Duration // a body that brings nothing for so long is broken

	mu     sync.Mutex
	scheme map[string]string        // by host: http or https, once known
	known  map[string]authorization // by registry and scopes
}

// An authorization is the value of a header, and until when it is good.
type authorization struct {
	header string
	until  time.Time // zero: for ever
}

// tries is how often a request is made that meets a broken connection or a registry
// that has too much to do.
const tries = 6

// New makes a client.
func New(o Options) (*Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(o.CA) > 0 && !roots.AppendCertsFromPEM(o.CA) {
		return nil, errors.New("the CA file holds no certificate in PEM")
	}
	c := &Client{plain: o.PlainHTTP, credentials: o.Credentials, now: time.Now, wait: sleep, idle: time.Minute,
		scheme: map[string]string{}, known: map[string]authorization{}}
	if c.credentials == nil {
		file := AuthFile()
		c.credentials = func(registry string) (Credential, error) { return FromFile(file, registry) }
	}
	c.http = &http.Client{CheckRedirect: redirect, Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   30 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		ReadBufferSize:        64 << 10,
		// A blob is the bytes as they are: a transport that undoes Content-Encoding by
		// itself would hand out others than those that the digest is of.
		DisableCompression: true,
	}}
	return c, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// redirect is asked before a redirect is followed. Go keeps Authorization for another
// port and for a subdomain of the same host; here only the same origin gets it.
func redirect(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case len(via) > 5:
		return &finalError{errors.New("more than 5 redirects")}
	case to.URL.Scheme != "https" && (to.URL.Scheme != "http" || from.Scheme == "https"):
		return &finalError{fmt.Errorf("a redirect to %s is refused: a registry reached by %s may send on to https only, or to its own kind", clean(to.URL.Scheme+"://"+to.URL.Host), from.Scheme)}
	case to.URL.Host != from.Host || to.URL.Scheme != from.Scheme:
		to.Header.Del("Authorization")
	}
	return nil
}

// base is where a registry's API begins. Loopback may speak plain HTTP (as with
// Docker); which of the two it does, it is asked once.
func (c *Client) base(ctx context.Context, ref Reference) (string, error) {
	host := ref.host()
	c.mu.Lock()
	scheme := c.scheme[host]
	c.mu.Unlock()
	if scheme == "" {
		switch scheme = "https"; {
		case slices.Contains(c.plain, ref.Registry):
			scheme = "http"
		case loopback(host):
			resp, err := c.send(ctx, &call{method: http.MethodGet}, "https://"+host+"/v2/", "")
			if err == nil {
				resp.Body.Close()
			} else if errors.Is(err, http.ErrSchemeMismatch) {
				scheme = "http"
			} else {
				return "", err
			}
		}
		c.mu.Lock()
		c.scheme[host] = scheme
		c.mu.Unlock()
	}
	return scheme + "://" + host, nil
}

func loopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.IsLoopback()
}

// secure says whether credentials may only travel over TLS. It is known after base.
func (c *Client) secure(ref Reference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scheme[ref.host()] != "http"
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
