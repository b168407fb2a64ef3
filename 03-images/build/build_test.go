package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestNeeded_StagesInOrder(t *testing.T) {
	exercise.Need(t, "3.9")
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
	for _, c := range []struct {
		target string
		want   []int
	}{{"0", []int{0}}, {"unused", []int{1}}, {"data", []int{3}}, {"tools", []int{0, 2}}, {"app", []int{0, 2, 3, 4}}, {"APP", []int{0, 2, 3, 4}}, {"4", []int{0, 2, 3, 4}}, {"test", []int{0, 2, 3, 4, 5}}, {"", []int{0, 2, 3, 4, 5}}} {
		got, err := Needed(stages, c.target)
		check.NoError(t, "Needed for target "+c.target, err)
		without := func(what func(*Stage) []int) bool { // one of them without one that it needs
			return slices.ContainsFunc(got, func(i int) bool {
				return slices.ContainsFunc(what(stages[i]), func(n int) bool { return n >= 0 && !slices.Contains(got, n) })
			})
		}
		check.Equal(t, "Needed for target "+c.target, c.want, got,
			check.Often(len(got) == len(stages), "every stage is built, needed or not"),
			check.Often(without(func(st *Stage) []int { return []int{st.Parent} }), "a stage needs the one that it begins with, not only those that it copies from"),
			check.Often(without(func(st *Stage) []int { return st.From }), "a stage needs those that it copies from, too"),
			check.Often(!slices.IsSorted(got), "a stage comes before those it needs"))
	}
	for _, bad := range []string{"none", "6", "-1"} {
		_, err = Needed(stages, bad)
		check.ErrorHas(t, "Needed for a target that is not there", err, []string{bad})
	}
}

func TestBuild_MakesLayersAndConfig(t *testing.T) {
	exercise.Need(t, "3.9", "3.8", "3.1", "3.2", "3.3", "3.4", "3.5")
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
	err = fails(t, store, "# a comment\nFROM none\n", "")
	check.ErrorHas(t, "Build on an image that is not there", err, []string{"Dockerfile:2: FROM none"}, check.Often(err != nil, "the error of base knows no line; b.File.at does"))
	err = fails(t, store, "FROM scratch\nADD none /\n", folder(t, nil))
	check.ErrorHas(t, "Build with an ADD of what is not there", err, []string{"Dockerfile:2: ADD: "}, check.Often(err != nil, "a step is called by its Kind, which is COPY for ADD too; Name() is as it was written"))
}

func TestBuild_StagesAndRun(t *testing.T) {
	exercise.Need(t, "3.9", "3.8", "3.1", "3.2", "3.3", "3.4", "3.5", "1.1", "1.2", "1.3", "1.4", "1.5", "1.8", "1.9")
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
	_, img = build(t, store, text, dir, func(b *Builder) { b.Target = "build" })
	check.Equal(t, "layers of the target build", 4, len(img.Layers), check.Often(true, "b.Target is not asked for: the last stage is built, whatever was wanted"))
	b = builder(t, store, "FROM base\nRUN echo before; exit 7\n", "")
	_, err := within(t, b, "")
	check.Equal(t, "what is said of RUN echo before; exit 7", "Dockerfile:2: RUN echo before; exit 7\nbefore\n", said(b),
		check.Often(!strings.Contains(said(b), "Dockerfile:2:"), "nobody hears which steps there are (b.say)"),
		check.Often(strings.Contains(said(b), "(cached)"), "say is told something else than what is done"),
		check.Often(true, "a step is told of after its work: who waits does not know for what"))
	check.ErrorHas(t, "Build with RUN exit 7", err, []string{"Dockerfile:2: RUN: exit status 7"})
	check.Equal(t, "snapshots after a failure", "[lock]", dirNames(t, store.Path("active")), check.Often(true, "the snapshot of a failed step is not removed"))
	for _, how := range []string{"done", "cached"} {
		b, img = build(t, store, "FROM base\nRUN true\nRUN touch /x && rm /x\nLABEL a=b\n", "")
		check.Equal(t, "layers of RUNs that change nothing, "+how, 1, len(img.Layers), check.Often(true, "an empty layer is kept"))
		history := img.Config.History
		check.True(t, "EmptyLayer in the history of a RUN that changes nothing, "+how, history[len(history)-2].EmptyLayer, "false", "true",
			check.Often(true, "EmptyLayer is forgotten: docker counts on as many entries without it as there are layers"))
		check.Equal(t, "steps that ran with RUNs that change nothing, "+how, map[string]int{"done": 2, "cached": 0}[how], b.Ran,
			check.Often(true, "no layer is taken for not there: a step that changed nothing runs each time"))
	}
	err = fails(t, store, "FROM base\nRUN exit 7\n", "")
	err2 := fails(t, store, "FROM base\nRUN exit 7\n", "")
	check.True(t, "Build a second time with RUN exit 7", err2 != nil && err2.Error() == err.Error(), "no error", "the same error",
		check.Often(true, "what failed is remembered as done"))
}

func TestBuild_SecondTimeNothingRuns(t *testing.T) {
	exercise.Need(t, "3.9", "3.8", "3.1", "3.2", "3.3", "3.4", "3.5", "1.1", "1.2", "1.3", "1.4", "1.5", "1.8", "1.9")
	store := storeWithBase(t)
	text := "FROM base\nENV A=1\nWORKDIR /w\nCOPY f .\nRUN cat f > g; date +%N > time\nCMD x\n"
	dir := folder(t, map[string]string{"f": "1", "ignored": "a", ".dockerignore": "ignored"})
	b, first := build(t, store, text, dir)
	check.Equal(t, "steps that ran at first", 3, b.Ran)
	check.Equal(t, "steps that are called cached at first", 0, strings.Count(said(b), "(cached)"))
	b, img := build(t, store, text, dir)
	check.Equal(t, "steps that are called cached the second time", 3, strings.Count(said(b), "(cached)"),
		check.Often(!strings.Contains(said(b), "Dockerfile:3:"), "nobody hears which steps there are (b.say)"),
		check.Often(true, "say is told something else than what is done"))
	again := func(what string, ran int, text string, set ...func(*Builder)) *images.Image {
		t.Helper()
		b, img := build(t, store, text, dir, set...)
		check.Equal(t, "steps that ran with "+what, ran, b.Ran,
			check.Often(b.Ran > ran, "the key has something in it that does not count"),
			check.Often(b.Ran < ran, "the key has not all in it that counts"))
		return img
	}
	img = again("nothing changed", 0, text)
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
	anew := again("no cache", 3, text, func(b *Builder) { b.NoCache = true })
	img = again("nothing changed after no cache", 0, text)
	check.Equal(t, "the image then", anew.Manifest.Digest, img.Manifest.Digest, check.Often(true, "what is done with NoCache is not remembered: the old result comes back"))
	again("another epoch", 3, text, func(b *Builder) { b.Epoch = time.Unix(1e9, 0) })

	b, _ = build(t, store, strings.Replace(text, "WORKDIR", "RUN true\nWORKDIR", 1), dir)
	check.Equal(t, "steps that ran with one before them that changes nothing", 4, b.Ran,
		check.Often(true, "a step that changed nothing does not move the key"))

	// A stage that was built anew and came to the same file is the same to COPY --from.
	stages := "FROM base AS a\nRUN echo same > /f # %\nFROM base\nCOPY --from=a /f /\nRUN cat /f > /g\n"
	build(t, store, stages, "")
	again("a stage that gives the same file", 1, strings.Replace(stages, "%", "2", 1))

	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or the collector closes what nobody closed
	open := len(strings.Fields(dirNames(t, "/proc/self/fd")))
	build(t, store, stages, "")
	check.Equal(t, "open files after a build with COPY --from", open, len(strings.Fields(dirNames(t, "/proc/self/fd"))),
		check.Often(true, "what open found is not closed, and stays mounted"))

	check.NoError(t, "remove the cache", errors.Join(os.RemoveAll(store.Path("cache")), os.Mkdir(store.Path("cache"), 0o700)))
	img = again("an empty cache", 3, text)
	check.NoError(t, "remove a layer", os.Remove(store.Path("blobs", "sha256", img.Layers[len(img.Layers)-1].Digest.Encoded())))
	b, _ = build(t, store, text, dir)
	check.Equal(t, "steps that ran with a cached layer gone", 1, b.Ran, check.Often(b.Ran == 0, "what Cached returns is used, and its error is not looked at"))
}

// Collect waits for a build: what it made has no name before its end. A build ends
// soon after its context does, and leaves nothing.
func TestBuild_HoldsTheStore(t *testing.T) {
	exercise.Need(t, "3.9", "3.8", "3.1", "3.2", "3.3", "3.4", "3.5", "1.1", "1.2", "1.3", "1.4", "1.5", "1.8", "1.9")
	store := storeWithBase(t)
	const soon = 20 * time.Millisecond
	try := func(take func(context.Context) (func(), error), wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		unlock, err := take(ctx)
		if err == nil {
			unlock()
		}
		return err
	}
	b := builder(t, store, "FROM base\nRUN echo started\n", "")
	var alone, share error
	b.Out = writerFunc(func(p []byte) {
		if strings.HasPrefix(string(p), "started") {
			alone, share = try(store.Alone, soon), try(store.Share, check.Deadline)
		}
	})
	_, err := b.Build(t.Context(), "")
	check.NoError(t, "Build", err)
	check.ErrorIs(t, "Alone, while a RUN runs", alone, context.DeadlineExceeded, check.Often(alone == nil, notHeld))
	check.NoError(t, "Share, while a RUN runs", share, check.Often(true, "Alone is taken for Share: two builds, or a pull, wait for each other"))

	index, err := os.OpenFile(store.Path("index.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	check.NoError(t, "open index.lock", err)
	defer index.Close()
	check.NoError(t, "lock the names, so that Build waits before it gives one", unix.Flock(int(index.Fd()), unix.LOCK_EX))
	blobs := func() int { return len(strings.Fields(dirNames(t, store.Path("blobs", "sha256")))) }
	before, named := blobs(), make(chan error, 1)
	b = builder(t, store, "FROM base\nLABEL a=b\n", "")
	go func() {
		_, err := b.Build(t.Context(), "docker.io/library/made:latest")
		named <- err
	}()
	check.Eventually(t, "Build", "config and manifest of an image", func() bool { return blobs() >= before+2 })
	check.ErrorIs(t, "Alone, before the image has its name", try(store.Alone, soon), context.DeadlineExceeded, check.Often(true, notHeld))
	index.Close()
	_, err = check.Within(t, "Build", "its end, once it can give the name", func() (int, error) { return 0, <-named })
	check.NoError(t, "Build", err)
	for _, text := range []string{"FROM base\n", "FROM none\n", "FROM base\nRUN false\n"} {
		within(t, builder(t, store, text, ""), "")
		check.NoError(t, fmt.Sprintf("Alone after Build of %q", text), try(store.Alone, check.Deadline), check.Often(true, "the store is not given back, however the build ends"))
	}

	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	b = builder(t, store, "FROM base\nRUN echo started; sleep 600\n", "")
	b.Out = writerFunc(func(p []byte) {
		if strings.HasPrefix(string(p), "started") {
			cancel(stop)
		}
	})
	_, err = check.Within(t, "Build whose context ends", "its end", func() (images.Descriptor, error) { return b.Build(ctx, "") })
	check.ErrorIs(t, "Build whose context ends", err, stop)
	check.Equal(t, "snapshots after it", "[lock]", dirNames(t, store.Path("active")))
	build(t, store, "FROM base\nRUN echo cached\n", "")
	for _, text := range []string{"FROM scratch\nWORKDIR /w\n", "FROM base\nRUN echo cached\n", "FROM base\nLABEL a=b\n"} {
		b = builder(t, store, text, "")
		_, err = b.Build(ctx, "")
		check.ErrorIs(t, fmt.Sprintf("Build of %q whose context ended before", text), err, stop,
			check.Often(err == nil, "nobody looks at the context between two steps, and before the image is named"))
		check.Equal(t, "what is said of steps then", "", said(b), check.Often(true, "nobody looks at the context before a step: all that are cached are gone through"))
	}
}

const notHeld = "the store is not held (Share) until the image has its name: a Collect takes the layers away"

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

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
