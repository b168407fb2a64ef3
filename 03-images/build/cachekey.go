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

// Exercise 3.8: cache keys of a build
//
// A step that was done before need not be done again, if what it would do is the
// same. Nobody can know what a program does before it runs; so a step is taken for
// the same when everything that it could depend on is: it has the same key.
//
//	base ── BaseKey ──▶ k0 ── Key(k0, RUN …) ──▶ k1 ── Key(k1, COPY …) ──▶ k2
//
// A key too many costs time, a key too few gives somebody an old image. What counts
// for BuildKit (docs.docker.com, "Build cache invalidation"; docs/dev/solver.md):
//   - all steps before it, through the parent's key, in their order;
//   - of a RUN what the program is told: arguments, environment, folder, user, the
//     script that came with it, whether it has a network. Not what it reads from
//     there: an apt-get update is not done anew because it is Tuesday;
//   - of a COPY where it goes, whose it becomes, with which mode, and what is copied:
//     names, modes, owners and content. Not how the sources are called in the
//     Dockerfile, and no times: a fresh clone of a repository has new times;
//   - not the line, comments and spaces, not what people read (Text, History), and
//     not Proxy.
//
// Two different steps must not come to the same text before it is hashed: ["a b"] is
// not ["a" "b"], and a word may hold any byte. %q is one way to be sure.
//
// Delete this line when you start:

// BaseKey returns the key of a stage before its first step: what its layers are
// ("" for scratch), for which platform, and the latest time that its layers may
// have (SOURCE_DATE_EPOCH, in seconds). Not the base's name or config: a new tag or
// label changes no file.
func BaseKey(chain digest.Digest, platform v1.Platform, epoch int64) digest.Digest {
	return refHash("base %q %q %q %q %d", chain, platform.OS, platform.Architecture, platform.Variant, epoch)
}

// Key returns the key of a step. contents is what is copied, a Checksum each, in
// the order of the sources; a RUN and a WORKDIR have none.
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

// Checksum returns the digest of a source: of each entry its path, mode, owner and
// group, attributes, where a link leads, and what is in a file. open opens a file. The entries
// come in the same order each time. Nothing may be kept in memory that grows with
// a file.
//
// Errors: the first that entries, open or a read give.
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

// refContent hashes a file by itself: its end must not depend on its length being known.
func refContent(e Entry, open func(Entry) (io.ReadCloser, error), buf []byte) (string, error) {
	f, err := open(e)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, buf) // a file copies itself otherwise, in pieces of its own size
	return hex.EncodeToString(h.Sum(nil)), err
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
