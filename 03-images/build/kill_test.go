package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

func init() {
	helpers["build"] = func(arg ...string) error {
		store, err := images.Open(arg[0], owners())
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(arg[1], "Dockerfile"))
		if err != nil {
			return err
		}
		file, err := Parse("Dockerfile", text)
		if err != nil {
			return err
		}
		tree, err := OpenContext(arg[1], "")
		if err != nil {
			return err
		}
		d, err := (&Builder{Store: store, File: file, Context: tree, Offline: true, Out: os.Stderr}).Build(context.Background(), "docker.io/library/killed:latest")
		fmt.Println(d.Digest)
		return err
	}
}

// buildAs builds in a process of its own.
func buildAs(store *images.Store, dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", store.Path(), dir)
	cmd.Args[0] = "test:build"
	return cmd
}

// everything lists the files of a store that matter to Collect: all names, and
// whether each blob is what it is called.
func everything(t *testing.T, store *images.Store) string {
	t.Helper()
	var names []string
	for _, dir := range []string{"blobs/sha256", "layers", "active", "cache", "ingest"} {
		list, err := os.ReadDir(store.Path(dir))
		check.NoError(t, "list "+dir, err)
		for _, e := range list {
			if e.Name() != "lock" && e.Name() != "empty" {
				names = append(names, dir+"/"+e.Name())
			}
		}
	}
	return strings.Join(names, "\n")
}

// A build is killed at random moments. What it leaves, Collect removes; the image
// it began with is whole, no mount and no process is left, and the next build
// comes to the same image.
func TestKill_LeavesWhatCollectRemoves(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	dir := folder(t, map[string]string{"f": strings.Repeat("content ", 1<<17), "Dockerfile": `FROM base AS one
COPY f /f
RUN cat /f /f > /g; (while true; do :; done) & sleep 0.05
FROM base
RUN mkdir /d; for i in 1 2 3 4 5 6 7 8 9; do echo $i > /d/$i; done
COPY --from=one /g /f /e/
WORKDIR /w
`})
	collect := func() string {
		t.Helper()
		_, err := store.Collect(t.Context(), images.CollectOptions{})
		check.NoError(t, "Collect", err)
		return everything(t, store)
	}
	_, err := store.Unpack(t.Context(), mustBase(t, store), nil)
	check.NoError(t, "unpack the base", err)
	before := collect()

	begin := time.Now()
	want, err := buildAs(store, dir).Output()
	took := time.Since(begin)
	check.NoError(t, "build once", err)
	check.NoError(t, "untag", store.Untag(t.Context(), "docker.io/library/killed:latest"))
	check.Equal(t, "the store after a build without a name, and Collect", before, collect())

	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	killed := 0
	for range rounds {
		var said bytes.Buffer
		cmd := buildAs(store, dir)
		cmd.Stderr = &said
		check.NoError(t, "start a build", cmd.Start())
		after := time.Duration(rand.Int64N(int64(took)))
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil { // it was faster
			check.NoError(t, "untag", store.Untag(t.Context(), "docker.io/library/killed:latest"))
		} else {
			killed++
			store.Untag(t.Context(), "docker.io/library/killed:latest") // it may have been there already
		}
		at := fmt.Sprintf("killed after %v of %v, at\n%s", after, took, &said)
		check.Eventually(t, "processes of a build "+at, "the programs that it ran are gone", func() bool { return !anyBusy() })
		check.Equal(t, "the store after Collect, the build "+at, before, collect())
		img := mustBase(t, store)
		for _, d := range append(img.Layers, img.Spec.Config, img.Manifest) {
			r, err := store.Blobs().Open(d)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			check.NoError(t, "read the base image's "+string(d.Digest), err)
		}
	}
	check.True(t, "builds that were killed", killed > 0, "none", "some")
	got, err := buildAs(store, dir).Output()
	check.NoError(t, "build after all that", err)
	check.Equal(t, "its image", string(want), string(got))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(t, "read mountinfo", err)
	check.True(t, "mounts that are left", !strings.Contains(string(mounts), store.Path()), string(mounts), "none")
}

func mustBase(t *testing.T, store *images.Store) *images.Image {
	t.Helper()
	img, err := store.Image("docker.io/library/base:latest", images.HostPlatform())
	check.NoError(t, "read the base image", err)
	return img
}

// anyBusy says whether a program of a build runs: one whose root is not ours.
func anyBusy() bool {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		theirs, err := os.Readlink(p + "/ns/mnt")
		if err == nil && theirs != ours {
			return true
		}
	}
	return false
}

// Two builds of one Dockerfile at once come to the same image, and Collect waits.
func TestBuild_TwoAtOnce(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	dir := folder(t, map[string]string{"f": "1", "Dockerfile": "FROM base\nCOPY f /f\nRUN cat /f > /g\nRUN mkdir /d\n"})
	var out [3]bytes.Buffer
	var cmds [3]*exec.Cmd
	for i := range cmds {
		cmds[i] = buildAs(store, dir)
		cmds[i].Stdout = &out[i]
		check.NoError(t, "start a build", cmds[i].Start())
	}
	for range 3 {
		_, err := store.Collect(t.Context(), images.CollectOptions{Steps: time.Hour})
		check.NoError(t, "Collect meanwhile", err)
	}
	for i := range cmds {
		check.NoError(t, "build "+itoa(i), cmds[i].Wait())
		check.Equal(t, "the image of build "+itoa(i), out[0].String(), out[i].String())
	}
	img, err := store.Image("docker.io/library/killed:latest", images.HostPlatform())
	check.NoError(t, "read the image", err)
	check.Equal(t, "/g", "-rw-r--r-- 1", listFiles(t, store, img)["/g"])
}
