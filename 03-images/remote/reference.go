package remote

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// A Reference names an image and where it comes from. Tag or Digest is set.
type Reference struct {
	Registry   string // "docker.io", "localhost:5000"
	Repository string // "library/debian"
	Tag        string
	Digest     digest.Digest // wins over a tag
}

// Parse reads a name as people write it and makes it full, by Docker's rules:
//
//	debian                   docker.io/library/debian:latest
//	me/app:1                 docker.io/me/app:1
//	localhost:5000/app       localhost:5000/app:latest
//	debian:12@sha256:1234…   docker.io/library/debian@sha256:1234…
//
// Errors: one line with the name and what is wrong with it.
func Parse(name string) (Reference, error) {
	named, err := reference.ParseDockerRef(name)
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		err = errors.New("it has characters that cannot be seen") // and ParseDockerRef's error would show them
	}
	if err != nil {
		return Reference{}, fmt.Errorf("image name %s: %w", clean(name), err)
	}
	r := Reference{Registry: reference.Domain(named), Repository: reference.Path(named)}
	switch n := named.(type) {
	case reference.Canonical:
		r.Digest = n.Digest()
		if r.Digest.Algorithm() != digest.SHA256 {
			return Reference{}, fmt.Errorf("image name %s: only sha256 digests are supported", clean(name))
		}
	case reference.Tagged:
		r.Tag = n.Tag()
	}
	return r, nil
}

// Name is the full name without tag and digest.
func (r Reference) Name() string { return r.Registry + "/" + r.Repository }

// String is the full name, as the store keeps it.
func (r Reference) String() string {
	if r.Digest != "" {
		return r.Name() + "@" + string(r.Digest)
	}
	return r.Name() + ":" + r.Tag
}

// Familiar is the name as people write it: Docker's own registry is left out.
func (r Reference) Familiar() string {
	named, err := reference.ParseNormalizedNamed(r.String())
	if err != nil {
		return r.String()
	}
	return reference.FamiliarString(named)
}

// At is another image of the same repository.
func (r Reference) At(d digest.Digest) Reference {
	r.Tag, r.Digest = "", d
	return r
}

// object is the last part of a manifest's URL.
func (r Reference) object() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}

// host is who serves this registry: Docker's answers under another name.
func (r Reference) host() string {
	if r.Registry == "docker.io" {
		return "registry-1.docker.io"
	}
	return r.Registry
}
