package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/client"

	images "coracle/03-images"
	"coracle/03-images/archive"
)

// An Engine is a Docker Engine that answers.
type Engine struct{ api *client.Client }

// Connect finds the Engine at host ("unix:///run/user/1000/docker.sock",
// "tcp://…"), or, if that is empty, where $DOCKER_HOST and its TLS variables say,
// else at /var/run/docker.sock.
func Connect(ctx context.Context, host string) (*Engine, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	api, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("docker engine: %w", err)
	}
	// It is asked for its version here, so that a wrong address is an error of its own.
	ping, err := api.Ping(ctx)
	if err != nil {
		api.Close()
		return nil, fmt.Errorf("docker engine at %s: %w", api.DaemonHost(), err)
	}
	api.NegotiateAPIVersionPing(ping)
	return &Engine{api}, nil
}

// Close gives the connection back.
func (e *Engine) Close() error { return e.api.Close() }

// Version is the version of the API that both sides speak.
func (e *Engine) Version() string { return e.api.ClientVersion() }

// Import brings images of the Engine into the store, by the names that they have
// there. One that is asked for by its ID comes without a name: o.Name gives it one.
func (e *Engine) Import(ctx context.Context, s *images.Store, names []string, o archive.LoadOptions) ([]archive.Loaded, error) {
	body, err := e.api.ImageSave(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("docker engine: %s: %w", strings.Join(names, ", "), err)
	}
	defer body.Close()
	return archive.Load(ctx, s, body, o)
}

// Export brings images of the store into the Engine, and returns what it said of
// them.
func (e *Engine) Export(ctx context.Context, s *images.Store, names []string, p images.Progress) ([]string, error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := archive.Save(ctx, s, w, names, archive.SaveOptions{Progress: p})
		w.CloseWithError(err)
		done <- err
	}()
	response, err := e.api.ImageLoad(ctx, r)
	var said []string
	if err == nil {
		said, err = answers(response.Body)
	}
	// The Engine need not read an archive to its last zero.
	r.CloseWithError(errEnough)
	if saved := <-done; saved != nil && !errors.Is(saved, errEnough) {
		return said, saved
	}
	if err != nil {
		return said, fmt.Errorf("docker engine: %w", err)
	}
	return said, nil
}

var errEnough = errors.New("the engine has read enough")

// answers reads what the Engine says while it loads: JSON values, of which the
// progress does not matter here and an error comes with status 200.
func answers(body io.ReadCloser) (said []string, err error) {
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var m struct {
			Stream, Error string
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return said, nil
		} else if err != nil {
			return said, err
		}
		if m.Error != "" {
			return said, errors.New(m.Error)
		}
		if m.Stream != "" {
			said = append(said, m.Stream)
		}
	}
}
