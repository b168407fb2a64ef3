package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// fetchToken asks a token server, with a password where there is one. A token may be
// called access_token; where nothing says how long it is good, it is for a minute
// (docs/spec/auth/token.md).
func (c *Client) fetchToken(ctx context.Context, url string, who Credential) (token string, good time.Duration, err error) {
	ask := http.Request{Header: http.Header{}} // net/http writes the header
	if who.User != "" {
		ask.SetBasicAuth(who.User, who.Password)
	}
	data, err := c.fetchSmall(ctx, url, ask.Header)
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		Token       string
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", 0, err
	}
	if token = cmp.Or(answer.Token, answer.AccessToken); token == "" {
		return "", 0, errors.New("it gave no token")
	}
	if answer.ExpiresIn <= 0 {
		answer.ExpiresIn = 60
	}
	return token, time.Duration(answer.ExpiresIn) * time.Second, nil
}

// fetchSmall asks any server for something of at most 1 MiB.
func (c *Client) fetchSmall(ctx context.Context, url string, header http.Header) ([]byte, error) {
	for try := 1; ; try++ {
		resp, err := c.send(ctx, &call{method: http.MethodGet, header: header}, url, "")
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			defer resp.Body.Close()
			return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		}
		if try == tries || !busy(resp) {
			return nil, answer(resp)
		}
		resp.Body.Close()
		if err := c.wait(ctx, max(retryAfter(resp), backoff(try))); err != nil {
			return nil, err
		}
	}
}
