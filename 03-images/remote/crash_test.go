package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

// pullForEver pulls images into a store, says so, and takes the names away again.
// Arguments: the store, how its owners are kept, names.
func pullForEver(arg []string) error {
	owners := images.Kernel
	if arg[1] == "single" {
		owners = images.Single
	}
	s, err := images.Open(arg[0], owners)
	if err != nil {
		return err
	}
	c, err := New(Options{Credentials: func(string) (Credential, error) { return Credential{}, nil }})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		ref, err := Parse(arg[2+n%(len(arg)-2)])
		if err != nil {
			return err
		}
		if _, err := c.Pull(context.Background(), s, ref, PullOptions{}); err != nil {
			return err
		}
		fmt.Println("has", ref)
		if n%2 == 0 {
			continue
		}
		fmt.Println("drops", ref)
		if err := s.Untag(context.Background(), ref.String()); err != nil {
			return err
		}
		if _, err := s.Collect(context.Background(), images.CollectOptions{}); err != nil {
			return err
		}
	}
}

// kill -9 at any moment of a pull, or of what collects what it left: an image that
// was there is there, and nobody finds half of one.
func TestPull_KilledAtRandom(t *testing.T) {
	exercise.NeedAll(t)
	img := newImage(t, images.HostPlatform(), files{"a": random(200_000)}, files{"b": "2"}, files{"c": random(400_000)})
	f, s := newFake(t, img), newStore(t)
	names := []string{f.ref(t, ":1").String(), f.ref(t, "@"+string(img.manifest.Digest)).String(), f.ref(t, ":3").String()}
	f.tags["3"] = img.manifest.Digest
	mode := "kernel"
	if s.Owners() == images.Single {
		mode = "single"
	}
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	has := map[string]bool{} // by the last word of who was killed
	for range rounds {
		cmd := exec.Command("/proc/self/exe", append([]string{s.Path(), mode}, names...)...)
		cmd.Args[0] = "test:pull"
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		check.NoError(t, "make a pipe", err)
		check.NoError(t, "start", cmd.Start())
		timer := time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var what, name string
			fmt.Sscan(lines.Text(), &what, &name)
			has[name] = what == "has"
		}
		cmd.Wait()
		check.True(t, "who pulls", !timer.Stop() && cmd.ProcessState.ExitCode() == -1, cmd.ProcessState.String(), "killed, not ended")
		check.NoError(t, "Check of the store after kill -9", s.Check())
		for name, there := range has {
			_, err := s.Image(name, images.HostPlatform())
			check.True(t, "the image "+name, err == nil || !there && errors.Is(err, images.ErrNotFound), check.Error(err), "there: its pull had ended")
		}
	}
	c, _ := newClient(t, Options{})
	_, err := pull(t, c, s, f.ref(t, ":1"), PullOptions{})
	check.NoError(t, "Pull afterwards", err)
	check.Equal(t, "its lowest layer", files{"a": random(200_000)}, contents(t, s, img.chains[0]))
	for _, name := range names {
		if err := s.Untag(t.Context(), name); !errors.Is(err, images.ErrNotFound) {
			check.NoError(t, "Untag", err)
		}
	}
	_, err = s.Collect(t.Context(), images.CollectOptions{})
	check.NoError(t, "Collect", err)
	check.Equal(t, "what is left once nothing has a name", "", left(t, s))
}
