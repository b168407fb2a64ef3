package remote

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Credential is who asks. Without a user it is nobody in particular.
type Credential struct{ User, Password string }

// AuthFile is the path of the credentials that `docker login` or `skopeo login`
// wrote: $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, the user's run folder's
// containers/auth.json, ~/.docker/config.json; the first that is there, or "".
func AuthFile() string {
	home, _ := os.UserHomeDir()
	for _, c := range []struct{ dir, file string }{
		{os.Getenv("REGISTRY_AUTH_FILE"), ""},
		{os.Getenv("DOCKER_CONFIG"), "config.json"},
		{os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json"},
		{home, ".docker/config.json"},
	} {
		file := filepath.Join(c.dir, c.file)
		if _, err := os.Stat(file); c.dir != "" && err == nil {
			return file
		}
	}
	return ""
}

// FromFile reads the credentials for a registry from an auth file: by the
// registry's name, or, for Docker's own, by the URL that it had in the beginning.
// A file that is not there, or that has nothing for this registry, gives none.
func FromFile(file, registry string) (Credential, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || file == "" {
		return Credential{}, nil
	}
	var config struct {
		Auths map[string]struct{ Auth, Username, Password string }
	}
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return Credential{}, fmt.Errorf("credentials: %s: %w", file, err)
	}
	keys := []string{registry, "https://" + registry, "http://" + registry}
	if registry == "docker.io" {
		keys = append(keys, "https://index.docker.io/v1/", "index.docker.io")
	}
	for _, key := range keys {
		entry, ok := config.Auths[key]
		if !ok {
			continue
		}
		if entry.Auth == "" {
			return Credential{entry.Username, entry.Password}, nil
		}
		pair, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, ok := strings.Cut(string(pair), ":")
		if err != nil || !ok {
			return Credential{}, fmt.Errorf("credentials: %s: the entry of %s is not base64 of user:password", file, registry)
		}
		return Credential{user, strings.TrimRight(password, "\x00")}, nil
	}
	return Credential{}, nil
}
