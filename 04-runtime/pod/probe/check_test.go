package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"coracle/internal/check"
)

// ask puts one question within the deadline of a test.
func ask(t *testing.T, target Target, h corev1.ProbeHandler) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), check.Deadline)
	defer cancel()
	return target.Check(ctx, &corev1.Probe{ProbeHandler: h})
}

func portOf(t *testing.T, address string) (string, int32) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	check.NoError(t, "split "+address, err)
	n, _ := strconv.Atoi(port)
	return host, int32(n)
}

func TestCheck_HTTP(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	var seen *http.Request
	mux := http.NewServeMux()
	for path, status := range map[string]int{"/ok": 200, "/moved": 304, "/ill": 500, "/none": 404} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { seen = r; w.WriteHeader(status) })
	}
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ill", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:1/", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	for name, server := range map[corev1.URIScheme]*httptest.Server{"HTTP": httptest.NewServer(mux), "HTTPS": httptest.NewTLSServer(mux)} {
		defer server.Close()
		u, _ := url.Parse(server.URL)
		ip, port := portOf(t, u.Host)
		target := Target{IP: ip, Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: port}}}
		for path, want := range map[string]string{
			"/ok?x=1": "", "/moved": "", "/away": "", "/ill": "HTTP probe failed with statuscode: 500", "/none": "statuscode: 404", "/here": "statuscode: 500", "/round": "10 redirects",
		} {
			err := ask(t, target, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Scheme: name, Path: path, Port: intstr.FromString("web"),
				HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "shop.example"}, {Name: "X-A", Value: "b"}}}})
			if want == "" {
				check.NoError(t, string(name)+" "+path, err)
			} else {
				check.ErrorHas(t, string(name)+" "+path, err, []string{want})
			}
			if path == "/ok?x=1" {
				check.Equal(t, "what the server saw", []string{"shop.example", "b", "x=1", "kube-probe/1.37"},
					[]string{seen.Host, seen.Header.Get("X-A"), seen.URL.RawQuery, seen.UserAgent()})
			}
		}
		err := ask(t, target, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("nope")}})
		check.ErrorHas(t, "a port of no such name", err, []string{`"nope"`})
		check.ErrorIs(t, "a port of no such name", err, ErrNoAnswer)
	}
}

func TestCheck_TCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, "listen", err)
	ip, port := portOf(t, l.Addr().String())
	h := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}
	check.NoError(t, "a port that listens", ask(t, Target{IP: ip}, h))
	check.NoError(t, "a host of its own", ask(t, Target{IP: "192.0.2.1"}, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: ip, Port: intstr.FromInt32(port)}}))
	l.Close()
	check.ErrorHas(t, "a port where nobody listens", ask(t, Target{IP: ip}, h), []string{"connection refused"})
}

func TestCheck_Exec(t *testing.T) {
	var got []string
	target := Target{Exec: func(_ context.Context, command []string) (int, []byte, error) {
		got = command
		switch command[0] {
		case "false":
			return 1, []byte("cannot open /tmp/healthy"), nil
		case "gone":
			return 0, nil, errors.New("container is not running")
		}
		return 0, nil, nil
	}}
	exec := func(command ...string) error {
		return ask(t, target, corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}})
	}
	check.NoError(t, "true", exec("true", "a b"))
	check.Equal(t, "the command", []string{"true", "a b"}, got)
	check.ErrorHas(t, "false", exec("false"), []string{"exit code 1", "cannot open /tmp/healthy"})
	check.ErrorHas(t, "gone", exec("gone"), []string{"container is not running"})
	check.ErrorIs(t, "gone", exec("gone"), ErrNoAnswer)
	check.True(t, "false", !errors.Is(exec("false"), ErrNoAnswer), "no answer", "an answer")
	check.ErrorIs(t, "no handler", ask(t, target, corev1.ProbeHandler{}), ErrNoAnswer)
}

// The other side is google.golang.org/grpc, which shares no code with ours.
func TestCheck_GRPC(t *testing.T) {
	tlsServer := httptest.NewUnstartedServer(nil)
	tlsServer.StartTLS()
	cert := tlsServer.TLS.Certificates
	tlsServer.Close()
	for mode, options := range map[corev1.GRPCProbeMode][]grpc.ServerOption{
		corev1.GRPCProbeModePlaintext: nil,
		corev1.GRPCProbeModeTLS:       {grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: cert}))},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check.NoError(t, "listen", err)
		server := grpc.NewServer(options...)
		state := health.NewServer()
		state.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
		state.SetServingStatus("ill", healthpb.HealthCheckResponse_NOT_SERVING)
		healthpb.RegisterHealthServer(server, state)
		go server.Serve(l)
		ip, port := portOf(t, l.Addr().String())
		service := func(name string) error {
			return ask(t, Target{IP: ip}, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port, Service: &name, Mode: &mode}})
		}
		check.NoError(t, string(mode)+": the server as a whole", service(""))
		check.ErrorHas(t, string(mode)+": a service that does not serve", service("ill"), []string{`service unhealthy (responded with "NOT_SERVING")`})
		check.ErrorHas(t, string(mode)+": a service that is not there", service("none"), []string{`gRPC status "5"`, "unknown service"})
		server.Stop()
		check.ErrorHas(t, string(mode)+": nobody listens", service(""), []string{"connection refused"})
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	u, _ := url.Parse(web.URL)
	ip, port := portOf(t, u.Host)
	check.True(t, "a web server", ask(t, Target{IP: ip}, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}) != nil, "well", "an error")
}

func TestHook(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check.ErrorIs(t, "a sleep that is interrupted", Target{}.Hook(ctx, &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3600}}), context.Canceled)
	check.NoError(t, "a sleep of nothing", Target{}.Hook(t.Context(), &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{}}))
}

func FuzzParseHealth(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		if status, err := parseHealth(data); err != nil && status > 1<<62 {
			t.Log(status)
		}
	})
}
