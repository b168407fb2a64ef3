package build

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// reproducible is what a program can do to make two builds differ, and does not.
const reproducible = `FROM base
ARG SOURCE_DATE_EPOCH
WORKDIR /a/b
COPY --chown=7:8 d /d/
RUN mkdir /m && for f in 3 1 2; do echo $f > /m/$f; done && ln -s 1 /m/l && ln /m/1 /m/h && chmod 600 /m/2 && rm -r /home
COPY <<EOF /x
text
EOF
`

func TestBuild_TwiceTheSame(t *testing.T) {
	exercise.NeedAll(t)
	var digests []string
	for i := range 2 {
		store := storeWithBase(t)
		dir := folder(t, map[string]string{"d/a": "1", "d/b": "2", "d/l -> a": ""})
		old := time.Unix(int64(1e9+i), 0) // earlier than the epoch, and another time in each
		check.NoError(t, "touch", os.Chtimes(dir+"/d/a", old, old))
		_, img := build(t, store, reproducible, dir, func(b *Builder) { b.Epoch = time.Unix(15e8, 0) })
		digests = append(digests, string(img.Manifest.Digest))
		for _, h := range img.Config.History {
			check.True(t, "created in the history", !h.Created.After(time.Unix(15e8, 0)), h.Created.String(), "SOURCE_DATE_EPOCH at most")
		}
	}
	check.Equal(t, "the digest of a second build in another store", digests[0], digests[1],
		check.Often(true, "a time, or the order of a folder, comes into a layer or the config"))
}

// Two stages that begin with one image do not write into each other's list of layers.
func TestBuild_TwoStagesOnOneImage(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	store := emptyStore(t)
	dir := folder(t, map[string]string{"a": "1", "b": "2"})
	build(t, store, "FROM scratch\nCOPY a /1\nCOPY a /2\nCOPY a /3\n", dir) // an append leaves room for a fourth
	_, img := build(t, store, "FROM made AS one\nCOPY a /a\nFROM made AS two\nCOPY b /b\nFROM one\nCOPY --from=two /b /from\n", dir)
	check.Equal(t, "layers of an image on the first of two stages", 5, len(img.Layers))
	files := listFiles(t, store, img)
	check.Equal(t, "/a, of the first stage", "-rw-r--r-- 1", files["/a"])
	check.Equal(t, "/b, of the second stage", "", files["/b"])
	check.Equal(t, "/from, copied from the second stage", "-rw-r--r-- 2", files["/from"])
}

// The config is what image-spec and Docker write, no more.
func TestBuild_ConfigHasDockersFields(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	store := emptyStore(t)
	_, img := build(t, store, "FROM scratch\nCOPY <<EOF /a\n<&>\nEOF\nHEALTHCHECK CMD x\nSHELL [\"/a\"]\nONBUILD RUN y\n", folder(t, nil))
	var raw struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	check.NoError(t, "unmarshal", json.Unmarshal(img.ConfigJSON, &raw))
	for _, field := range []string{"Healthcheck", "Shell", "OnBuild", "Env", "WorkingDir"} {
		check.True(t, "config."+field, raw.Config[field] != nil, "missing", "there")
	}
	check.True(t, "the history's text", strings.Contains(string(img.ConfigJSON), "<<EOF"), "escaped", "< as it is")
}
