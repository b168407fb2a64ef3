package remote

import (
	"os"
	"testing"

	"coracle/internal/check"
)

func TestCredentials_FromAFile(t *testing.T) {
	file := t.TempDir() + "/config.json"
	write := func(text string) { check.NoError(t, "write", os.WriteFile(file, []byte(text), 0o600)) }
	write(`{"auths":{"localhost:5000":{"auth":"YW5uOnM6Y3JldA=="},"https://index.docker.io/v1/":{"username":"bob","password":"x"},"bad":{"auth":"%"}}}`)
	for registry, want := range map[string]Credential{"localhost:5000": {"ann", "s:cret"}, "docker.io": {"bob", "x"}, "other": {}} {
		got, err := FromFile(file, registry)
		check.NoError(t, "FromFile for "+registry, err)
		check.Equal(t, "the credentials for "+registry, want, got)
	}
	_, err := FromFile(file, "bad")
	check.ErrorHas(t, "FromFile of an entry that is not base64", err, []string{file, "bad"})
	write(`{`)
	_, err = FromFile(file, "other")
	check.ErrorHas(t, "FromFile of a damaged file", err, []string{file})
	got, err := FromFile(file+".none", "other")
	check.True(t, "FromFile of no file", err == nil && got == Credential{}, check.Error(err), "nobody in particular")
	t.Setenv("REGISTRY_AUTH_FILE", file)
	check.Equal(t, "AuthFile", file, AuthFile())
}
