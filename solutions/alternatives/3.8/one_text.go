// Alternative: one text that says what is there; a part that is not there is no word. A file's digest is of a fixed length.
package build

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func BaseKey(chain digest.Digest, platform v1.Platform, epoch int64) digest.Digest {
	return digest.FromString(fmt.Sprintf("base %q %q %q %q %d",
		chain, platform.OS, platform.Architecture, platform.Variant, epoch))
}

func Key(parent digest.Digest, s *Step, contents []digest.Digest) digest.Digest {
	said := fmt.Sprintf("step %q %q ", parent, s.Kind)
	switch s.Kind {
	case Run:
		said += fmt.Sprintf("%q %q %q %q %t", s.Args, s.Env, s.Dir, s.User, s.Offline)
		if s.Script != nil {
			said += fmt.Sprintf(" %q %q", s.Script.Name, s.Script.Data)
		}
	case Workdir:
		said += fmt.Sprintf("%q %q", s.Dir, s.User)
	case Copy:
		said += fmt.Sprintf("%q %q %t %q %q", s.Dest, s.Chown, s.Unpack, s.Files, contents)
		if s.Chmod != nil {
			said += fmt.Sprintf(" %d", *s.Chmod)
		}
	}
	return digest.FromString(said)
}

func Checksum(entries iter.Seq2[Entry, error], open func(Entry) (io.ReadCloser, error)) (digest.Digest, error) {
	h := sha256.New()
	for e, err := range entries {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %d %d %d %q %q", e.Path, e.Mode, e.UID, e.GID, e.Xattrs, e.Link)
		if e.Mode.IsRegular() {
			sum, err := refFileSum(e, open)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, " %q", sum)
		}
		fmt.Fprintln(h)
	}
	return digest.NewDigest(digest.SHA256, h), nil
}

// refFileSum is the digest of what is in a file: of a fixed length, so that no byte of it
// can be taken for the next entry's.
func refFileSum(e Entry, open func(Entry) (io.ReadCloser, error)) (digest.Digest, error) {
	r, err := open(e)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return digest.SHA256.FromReader(r)
}
