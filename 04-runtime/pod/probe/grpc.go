package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// serving are the words for HealthCheckResponse.ServingStatus.
var serving = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// grpc calls grpc.health.v1.Health/Check, one message each way: an HTTP/2 POST, each
// message behind a flag and its length, and the status in the trailers
// (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, health-checking.md).
func (t Target) grpc(ctx context.Context, a *corev1.GRPCAction) error {
	host, err := t.address("", intstr.FromInt32(a.Port))
	if err != nil {
		return err
	}
	var message []byte
	if a.Service != nil && *a.Service != "" {
		message = protowire.AppendTag(nil, 1, protowire.BytesType)
		message = protowire.AppendString(message, *a.Service)
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)

	transport := &http.Transport{
		DialContext:       t.dial,
		Protocols:         new(http.Protocols),
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	scheme := "http"
	if a.Mode != nil && *a.Mode == corev1.GRPCProbeModeTLS {
		scheme = "https"
		transport.Protocols.SetHTTP2(true)
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+host+"/grpc.health.v1.Health/Check", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	r.Header.Set("User-Agent", "kube-probe/1.37")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("gRPC health of %s: %w", host, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return fmt.Errorf("gRPC health of %s: %w", host, err)
	}
	status, text := answer.Trailer.Get("Grpc-Status"), answer.Trailer.Get("Grpc-Message")
	if status == "" { // an answer of trailers alone arrives as headers
		status, text = answer.Header.Get("Grpc-Status"), answer.Header.Get("Grpc-Message")
	}
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	if status != "0" {
		return fmt.Errorf("gRPC health of %s: HTTP %d, gRPC status %q: %s", host, answer.StatusCode, status, text)
	}
	said, err := parseHealth(data)
	if err != nil {
		return fmt.Errorf("gRPC health of %s: %w", host, err)
	}
	if said != 1 {
		word := fmt.Sprint(said)
		if said < uint64(len(serving)) {
			word = serving[said]
		}
		return fmt.Errorf("service unhealthy (responded with %q)", word)
	}
	return nil
}

// parseHealth reads the field status of a HealthCheckResponse, behind its prefix of five bytes.
func parseHealth(data []byte) (status uint64, err error) {
	if len(data) < 5 || data[0] != 0 || int(binary.BigEndian.Uint32(data[1:5])) != len(data)-5 {
		return 0, fmt.Errorf("an answer of %d bytes is not one plain message", len(data))
	}
	for data = data[5:]; len(data) > 0; {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
		if num == 1 && typ == protowire.VarintType {
			if status, n = protowire.ConsumeVarint(data); n < 0 {
				return 0, protowire.ParseError(n)
			}
		} else if n = protowire.ConsumeFieldValue(num, typ, data); n < 0 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
	}
	return status, nil
}
