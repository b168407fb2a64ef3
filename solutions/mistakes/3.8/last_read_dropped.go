// Mistake: what a read brings together with io.EOF is dropped
package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// BaseKey returns the key of a stage before its first step.
func BaseKey(chain digest.Digest, platform v1.Platform, epoch int64) digest.Digest {
	return refHash("base %q %q %q %q %d", chain, platform.OS, platform.Architecture, platform.Variant, epoch)
}

// Key returns the key of a step.
func Key(parent digest.Digest, s *Step, contents []digest.Digest) digest.Digest {
	switch s.Kind {
	case Run:
		return refHash("run %q %q %q %q %q %s %t", parent, s.Args, s.Env, s.Dir, s.User, refScript(s.Script), s.Offline)
	case Copy:
		mode := "kept"
		if s.Chmod != nil {
			mode = s.Chmod.String()
		}
		return refHash("copy %q %q %q %q %q %t %q", parent, s.Dest, s.Chown, mode, s.Files, s.Unpack, contents)
	default:
		return refHash("%q %q %q %q", s.Kind, parent, s.Dir, s.User)
	}
}

// Checksum returns the digest of a source.
func Checksum(entries iter.Seq2[Entry, error], open func(Entry) (io.ReadCloser, error)) (digest.Digest, error) {
	all, buf := sha256.New(), make([]byte, 256<<10)
	for e, err := range entries {
		if err != nil {
			return "", err
		}
		content := ""
		if e.Mode.IsRegular() {
			if content, err = refContent(e, open, buf); err != nil {
				return "", fmt.Errorf("%s: %w", e.Path, err)
			}
		}
		fmt.Fprintf(all, "%q %v %d %d %q %q %s\n", e.Path, e.Mode, e.UID, e.GID, e.Xattrs, e.Link, content)
	}
	return digest.NewDigest(digest.SHA256, all), nil
}

// refContent hashes a file by itself: where it ends must not depend on its length being known.
func refContent(e Entry, open func(Entry) (io.ReadCloser, error), buf []byte) (string, error) {
	f, err := open(e)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	for {
		n, err := f.Read(buf)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		h.Write(buf[:n])
	}
}

func refScript(f *Inline) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%q %q", f.Name, f.Data)
}

func refHash(format string, a ...any) digest.Digest {
	return digest.FromString(fmt.Sprintf(format, a...))
}
