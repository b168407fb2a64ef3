package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Target is the container that is asked, and the way to it.
type Target struct {
	IP    string                 // the pod's: where probes go that name no host
	Ports []corev1.ContainerPort // by name

	// Exec runs a command in the container: its exit code and what it said. Dial is the
	// way to the pod's network; nil is the agent's own.
	Exec func(ctx context.Context, command []string) (exit int, output []byte, err error)
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// maxBody is how much of an answer is read, or of a command's output shown.
const maxBody = 10 << 10

// Check puts the probe's question once. Errors: what a person should read behind
// "Liveness probe failed: ", or an ErrNoAnswer.
func (t Target) Check(ctx context.Context, p *corev1.Probe) error {
	switch {
	case p.Exec != nil:
		return t.exec(ctx, p.Exec)
	case p.HTTPGet != nil:
		return t.http(ctx, p.HTTPGet)
	case p.TCPSocket != nil:
		return t.tcp(ctx, p.TCPSocket)
	case p.GRPC != nil:
		return t.grpc(ctx, p.GRPC)
	}
	return fmt.Errorf("%w: the probe has no handler: give it exec, httpGet, tcpSocket or grpc", ErrNoAnswer)
}

// Hook carries out a postStart or preStop hook.
func (t Target) Hook(ctx context.Context, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		return t.exec(ctx, h.Exec)
	case h.HTTPGet != nil:
		return t.http(ctx, h.HTTPGet)
	case h.Sleep != nil:
		select {
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	return errors.New("the hook has no handler: give it exec, httpGet or sleep")
}

func (t Target) exec(ctx context.Context, a *corev1.ExecAction) error {
	exit, output, err := t.Exec(ctx, a.Command)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	case exit != 0:
		return fmt.Errorf("exit code %d: %s", exit, output[:min(len(output), maxBody)])
	}
	return nil
}

func (t Target) tcp(ctx context.Context, a *corev1.TCPSocketAction) error {
	address, err := t.address(a.Host, a.Port)
	if err != nil {
		return err
	}
	c, err := t.dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// http asks as pkg/probe/http does: certificates are not verified, redirects followed
// on the same host only (one that leads elsewhere is an answer), 200 to 399 is well.
func (t Target) http(ctx context.Context, a *corev1.HTTPGetAction) error {
	host, err := t.address(a.Host, a.Port)
	if err != nil {
		return err
	}
	u, err := url.Parse(a.Path)
	if err != nil {
		u = &url.URL{Path: a.Path}
	}
	u.Scheme, u.Host = strings.ToLower(string(a.Scheme)), host
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	for _, h := range a.HTTPHeaders {
		r.Header.Add(h.Name, h.Value)
	}
	if h := r.Header.Get("Host"); h != "" {
		r.Host = h
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "kube-probe/1.37")
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "*/*")
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext:       t.dial,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true, // each probe is a connection of its own, as a client's would be
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() {
				return http.ErrUseLastResponse
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}
			return nil
		},
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)); err != nil {
		return err
	}
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", answer.StatusCode)
	}
	return nil
}

// address is host, or the pod's own, with a port that is a number or a container's by name.
func (t Target) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = t.IP
	}
	n := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range t.Ports {
			if p.Name == port.StrVal {
				n = int(p.ContainerPort)
			}
		}
	}
	if n < 1 || n > 65535 {
		return "", fmt.Errorf("%w: port %q is no number from 1 to 65535 and no port of the container", ErrNoAnswer, port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

func (t Target) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if t.Dial != nil {
		return t.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
