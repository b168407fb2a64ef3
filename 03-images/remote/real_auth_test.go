package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
)

// A ca is a certificate for loopback and its key: an authority, or made by one.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func certificate(t testing.TB, parent *ca) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check.NoError(t, "make a key", err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	signer := &ca{cert, key, nil}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, signer.cert, &key.PublicKey, signer.key)
	check.NoError(t, "make a certificate", err)
	cert, err = x509.ParseCertificate(der)
	check.NoError(t, "read the certificate", err)
	return &ca{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (c *ca) write(t testing.TB) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalECPrivateKey(c.key)
	check.NoError(t, "write a key", err)
	cert, key = dir+"/cert.pem", dir+"/key.pem"
	check.NoError(t, "write a certificate", os.WriteFile(cert, c.pem, 0o644))
	check.NoError(t, "write a key", os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600))
	return cert, key
}

// token is what docker-registry believes (distribution, docs/spec/auth/jwt.md).
func (c *ca) token(t testing.TB, scopes []string, good time.Time) string {
	access := []map[string]any{}
	for _, s := range scopes {
		part := strings.Split(s, ":")
		access = append(access, map[string]any{"type": part[0], "name": part[1], "actions": strings.Split(part[2], ",")})
	}
	encode := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := encode(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(c.cert.Raw)}}) + "." +
		encode(map[string]any{"iss": "the test", "sub": "ann", "aud": "the registry", "exp": good.Unix(), "nbf": time.Now().Add(-2 * time.Hour).Unix(),
			"iat": time.Now().Add(-2 * time.Hour).Unix(), "jti": good.String(), "access": access})
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	if err != nil {
		t.Error(err)
		return ""
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
