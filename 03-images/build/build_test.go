package build

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestNeeded_StagesInOrder(t *testing.T) {
	f, err := Parse("Dockerfile", []byte(`
FROM scratch AS base
FROM scratch AS unused
FROM base AS tools
COPY --from=lib/image a /
FROM scratch AS Data
FROM base AS app
COPY --from=tools a /
COPY --from=3 b /
FROM app AS test
RUN x
`))
	check.NoError(t, "Parse", err)
	stages, err := f.Stages(nil, "linux/amd64", "")
	check.NoError(t, "Stages", err)
	for target, want := range map[string][]int{
		"": {0, 2, 3, 4, 5}, "test": {0, 2, 3, 4, 5}, "app": {0, 2, 3, 4}, "APP": {0, 2, 3, 4}, "4": {0, 2, 3, 4}, "data": {3}, "tools": {0, 2}, "0": {0}, "unused": {1},
	} {
		got, err := Needed(stages, target)
		check.NoError(t, "Needed for "+target, err)
		check.Equal(t, "Needed for target "+target, want, got,
			check.Often(len(got) == len(stages), "every stage is built, needed or not"),
			check.Often(len(got) > 0 && got[0] > got[len(got)-1], "a stage comes before those it needs"),
			check.Often(target == "app" && len(got) < 4, "what a stage needs needs stages itself"))
	}
	for _, bad := range []string{"none", "6", "-1"} {
		_, err = Needed(stages, bad)
		check.ErrorHas(t, "Needed for a target that is not there", err, []string{bad})
	}
}

func TestBuild_MakesLayersAndConfig(t *testing.T) {
	sandbox.Need(t)
	store := emptyStore(t)
	_, img := build(t, store, `FROM scratch
LABEL a=b
COPY one /x/
ENV V=w
COPY two /x/
CMD ["/x/two"]
`, folder(t, map[string]string{"one": "1", "two": "2"}))
	check.Equal(t, "the number of layers", 2, len(img.Layers), check.Often(len(img.Layers) == 5, "instructions that change no file make a layer too"))
	check.Equal(t, "media type of the manifest", v1.MediaTypeImageManifest, img.Manifest.MediaType)
	check.Equal(t, "its diff IDs", 2, len(img.Config.RootFS.DiffIDs))
	check.Equal(t, "CMD", []string{"/x/two"}, img.Config.Config.Cmd)
	check.Equal(t, "LABEL", map[string]string{"a": "b"}, img.Config.Config.Labels)
	empty := ""
	for _, h := range img.Config.History {
		empty += map[bool]string{true: "-", false: "L"}[h.EmptyLayer]
		check.Equal(t, "created in the history", time.Unix(0, 0).UTC(), h.Created.UTC(), check.Often(true, "the time of the build: no second build is the same"))
	}
	check.Equal(t, "which of the history have a layer", "-L-L-", empty)
	files := listFiles(t, store, img)
	check.Equal(t, "/x/one", "-rw-r--r-- 1", files["/x/one"], check.Often(files["/x/one"] == "", "each step begins with the base, and not with what the one before left"))
	check.Equal(t, "/x/two", "-rw-r--r-- 2", files["/x/two"])
	_, err := store.Image("docker.io/library/made:latest", images.HostPlatform())
	check.NoError(t, "the image by its name", err)
	check.Equal(t, "snapshots that are left", "[lock]", dirNames(t, store.Path("active")), check.Often(true, "the snapshot of a step is not removed"))
}

func TestBuild_StagesAndRun(t *testing.T) {
	store := storeWithBase(t)
	text := `FROM base AS build
WORKDIR /src
COPY hello .
RUN tr a-z A-Z < hello > HELLO && rm hello
FROM base AS unused
RUN exit 7
FROM scratch
COPY --from=build /src /data
`
	dir := folder(t, map[string]string{"hello": "hello\n"})
	b, img := build(t, store, text, dir)
	check.Equal(t, "layers of the last stage", 1, len(img.Layers), check.Often(len(img.Layers) > 1, "the layers of other stages are in the image"))
	files := listFiles(t, store, img)
	check.Equal(t, "/data/HELLO", "-rw-r--r-- HELLO\n", files["/data/HELLO"])
	check.Equal(t, "/data/hello, which RUN removed", "", files["/data/hello"])
	check.Equal(t, "steps that ran", 4, b.Ran, check.Often(strings.Contains(said(b), "exit 7"), "a stage that nothing needs is built"))
	err := fails(t, store, "FROM base\nRUN echo before; exit 7\n", "")
	check.ErrorHas(t, "Build with RUN exit 7", err, []string{"Dockerfile:2: RUN: exit status 7"})
	check.Equal(t, "snapshots after a failure", "[lock]", dirNames(t, store.Path("active")), check.Often(true, "the snapshot of a failed step is not removed"))
	b, _ = build(t, store, "FROM base\nRUN true\nRUN touch /x && rm /x\nLABEL a=b\n", "")
	check.Equal(t, "layers of a RUN that changes nothing", 1, len(mustImage(t, store).Layers), check.Often(true, "an empty layer is kept"))
	history := mustImage(t, store).Config.History
	check.True(t, "EmptyLayer of that RUN in the history", history[len(history)-2].EmptyLayer, "false", "true: docker counts on as many others as there are layers")
	err = fails(t, store, "FROM base\nRUN exit 7\n", "")
	err2 := fails(t, store, "FROM base\nRUN exit 7\n", "")
	check.True(t, "Build a second time with RUN exit 7", err2 != nil && err2.Error() == err.Error(), "no error", "the same error",
		check.Often(true, "what failed is remembered as done"))
}

func TestBuild_SecondTimeNothingRuns(t *testing.T) {
	store := storeWithBase(t)
	text := "FROM base\nENV A=1\nWORKDIR /w\nCOPY f .\nRUN cat f > g; date +%N > time\nCMD x\n"
	dir := folder(t, map[string]string{"f": "1", "ignored": "a", ".dockerignore": "ignored"})
	b, first := build(t, store, text, dir)
	check.Equal(t, "steps that ran at first", 3, b.Ran)
	again := func(what string, ran int, text string, set ...func(*Builder)) *images.Image {
		t.Helper()
		b, img := build(t, store, text, dir, set...)
		check.Equal(t, "steps that ran with "+what, ran, b.Ran,
			check.Often(b.Ran > ran, "the key has something in it that does not count"),
			check.Often(b.Ran < ran, "the key has not all in it that counts"))
		return img
	}
	img := again("nothing changed", 0, text)
	check.Equal(t, "the image of the second build", first.Manifest.Digest, img.Manifest.Digest)
	now := time.Now().Add(time.Hour)
	check.NoError(t, "touch", os.Chtimes(dir+"/f", now, now))
	check.NoError(t, "write", os.WriteFile(dir+"/ignored", []byte("b"), 0o644))
	again("a file touched and one changed that is left out", 0, text)
	again("comments and another CMD", 0, "# comment\n"+strings.Replace(text, "CMD x", "\nCMD y\nLABEL l=m", 1))
	again("a proxy", 0, text, func(b *Builder) { b.Args = map[string]string{"HTTP_PROXY": "p"} })
	again("an argument that nobody declared", 0, text, func(b *Builder) { b.Args = map[string]string{"X": "y"} })
	again("another RUN", 1, strings.Replace(text, "cat f > g", "cat f > h", 1))
	again("another ENV, which RUN sees and COPY does not", 1, strings.Replace(text, "A=1", "A=2", 1))
	again("another WORKDIR", 3, strings.Replace(text, "/w", "/v", 1))
	again("an argument that is declared", 1, strings.Replace(text, "RUN", "ARG X\nRUN", 1), func(b *Builder) { b.Args = map[string]string{"X": "y"} })
	again("another value for it", 1, strings.Replace(text, "RUN", "ARG X\nRUN", 1), func(b *Builder) { b.Args = map[string]string{"X": "z"} })
	check.NoError(t, "chmod", os.Chmod(dir+"/f", 0o755))
	again("another mode", 2, text)
	check.NoError(t, "write", os.WriteFile(dir+"/f", []byte("2"), 0o755))
	again("other content", 2, text)
	again("a network", 1, text, func(b *Builder) { b.Offline = false })
	again("no cache", 3, text, func(b *Builder) { b.NoCache = true })
	again("another epoch", 3, text, func(b *Builder) { b.Epoch = time.Unix(1e9, 0) })

	// A stage that was built anew and came to the same file is the same to COPY --from.
	stages := "FROM base AS a\nRUN echo same > /f # %\nFROM base\nCOPY --from=a /f /\nRUN cat /f > /g\n"
	build(t, store, stages, "")
	again("a stage that gives the same file", 1, strings.Replace(stages, "%", "2", 1))

	_, err := store.Collect(t.Context(), images.CollectOptions{})
	check.NoError(t, "Collect", err)
	again("an empty cache", 3, text)
}

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

// Collect waits for a build: what it made has no name before its end.
func TestBuild_HoldsTheStore(t *testing.T) {
	store := storeWithBase(t)
	b := builder(t, store, "FROM base\nRUN echo started\n", "")
	var held error
	b.Out = writerFunc(func(p []byte) {
		if strings.HasPrefix(string(p), "started") {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			var unlock func()
			if unlock, held = store.Alone(ctx); held == nil {
				unlock()
			}
		}
	})
	_, err := b.Build(t.Context(), "")
	check.NoError(t, "Build", err)
	check.ErrorIs(t, "Alone, while a RUN runs", held, context.DeadlineExceeded,
		check.Often(held == nil, "the store is not held (Share) until the image has its name: a Collect takes the layers away"))
}

// A build ends soon after its context does, and leaves nothing.
func TestBuild_Cancelled(t *testing.T) {
	store := storeWithBase(t)
	ctx, cancel := context.WithCancel(t.Context())
	b := builder(t, store, "FROM base\nRUN echo started; sleep 600\n", "")
	b.Out = writerFunc(func(p []byte) {
		if strings.HasPrefix(string(p), "started") {
			cancel()
		}
	})
	_, err := check.Within(t, "Build that is cancelled", "its end", func() (images.Descriptor, error) { return b.Build(ctx, "") })
	check.ErrorIs(t, "Build that is cancelled", err, context.Canceled)
	check.Equal(t, "snapshots after it", "[lock]", dirNames(t, store.Path("active")))
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func mustImage(t *testing.T, store *images.Store) *images.Image {
	t.Helper()
	img, err := store.Image("docker.io/library/made:latest", images.HostPlatform())
	check.NoError(t, "read the image", err)
	return img
}

func dirNames(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	check.NoError(t, "read "+dir, err)
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return "[" + strings.Join(names, " ") + "]"
}

// The config is what image-spec and Docker write, no more.
func TestBuild_ConfigHasDockersFields(t *testing.T) {
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
