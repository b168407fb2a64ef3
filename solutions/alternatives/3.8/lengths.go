// Alternative: each field is written after its length, as netstrings are, into one hash; a file's digest is go-digest's.
package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// refFields is a hash of fields that cannot run together.
type refFields struct{ hash.Hash }

func refStart(kind string) refFields {
	f := refFields{sha256.New()}
	f.add(kind)
	return f
}

func (f refFields) add(fields ...string) {
	for _, s := range fields {
		io.WriteString(f, strconv.Itoa(len(s))+":"+s+",")
	}
}

// list adds how many there are, too.
func (f refFields) list(fields []string) {
	f.add(strconv.Itoa(len(fields)))
	f.add(fields...)
}

func (f refFields) digest() digest.Digest { return digest.NewDigest(digest.SHA256, f) }

func BaseKey(chain digest.Digest, platform v1.Platform, epoch int64) digest.Digest {
	f := refStart("FROM")
	f.add(string(chain), platform.OS, platform.Architecture, platform.Variant, strconv.FormatInt(epoch, 10))
	return f.digest()
}

func Key(parent digest.Digest, s *Step, contents []digest.Digest) digest.Digest {
	f := refStart(string(s.Kind))
	f.add(string(parent))
	var inline []string
	if s.Kind == Copy {
		chmod := ""
		if s.Chmod != nil {
			chmod = strconv.FormatUint(uint64(*s.Chmod), 8)
		}
		f.add(s.Dest, s.Chown, chmod, strconv.FormatBool(s.Unpack))
		for _, file := range s.Files {
			inline = append(inline, file.Name, file.Data)
		}
		for _, c := range contents {
			f.add(string(c))
		}
	} else {
		f.add(s.Dir, s.User)
	}
	if s.Kind == Run {
		f.list(s.Args)
		f.list(s.Env)
		f.add(strconv.FormatBool(s.Offline))
		if s.Script != nil {
			inline = []string{s.Script.Name, s.Script.Data}
		}
	}
	f.list(inline)
	return f.digest()
}

func Checksum(entries iter.Seq2[Entry, error], open func(Entry) (io.ReadCloser, error)) (digest.Digest, error) {
	f := refStart("files")
	for e, err := range entries {
		if err != nil {
			return "", err
		}
		f.add(e.Path, e.Mode.String(), fmt.Sprint(e.UID, ":", e.GID), e.Link)
		var attributes []string
		for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
			attributes = append(attributes, name, e.Xattrs[name])
		}
		f.list(attributes)
		if !e.Mode.IsRegular() {
			continue
		}
		file, err := open(e)
		if err != nil {
			return "", err
		}
		content, err := digest.SHA256.FromReader(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return "", fmt.Errorf("read %s: %w", e.Path, err)
		}
		f.add(string(content))
	}
	return f.digest(), nil
}
