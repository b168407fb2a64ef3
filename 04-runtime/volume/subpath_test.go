package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

func TestSubPath_StaysInside(t *testing.T) {
	v, _ := begin(t)
	pod := manifest(t, "[{name: e, emptyDir: {}}]")
	setUp(t, v, pod)
	volume := at(t, v, pod, "e")
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "of the host")
	write(t, filepath.Join(volume, "in", "file"), "mine")
	for link, to := range map[string]string{"out": outside, "up": "../../../../../../../..", "root": "/", "self": "/proc/self/root", "in2": "in", "abs": "/in", "gone": "nowhere", "loop": "loop"} {
		check.NoError(t, "link", os.Symlink(to, filepath.Join(volume, link)))
	}
	c := &pod.Spec.Containers[0]
	for sub, want := range map[string]string{
		"in": "file=mine:0644", "in2": "file=mine:0644", "abs": "file=mine:0644", "root/in": "file=mine:0644", "up/in": "file=mine:0644", "./in/": "file=mine:0644",
		"out": "no such file", "out/secret": "no such file", "self/etc": "no such file", "gone": "no such file", "gone/x": "no such file", "loop": "too many levels", "in/file/x": "not a directory",
		"new/a": "", "root/etc": "",
	} {
		c.VolumeMounts[0].SubPath = sub
		mounts, err := v.Mounts(t.Context(), pod, c, nil)
		if err != nil {
			check.ErrorHas(t, "Mounts with subPath "+sub, err, []string{"failed to prepare subPath", want})
			continue
		}
		check.Equal(t, "what subPath "+sub+" shows", want, tree(t, mounts[0].Source))
	}
	fi, err := os.Stat(filepath.Join(volume, "new", "a"))
	check.NoError(t, "the folder that was missing", err)
	check.Equal(t, "its mode, the volume's", os.ModeDir|0o777, fi.Mode())
	check.Equal(t, "what is outside", "secret=of the host:0644", tree(t, outside))
}

func TestSubPath_AFileIsOneMoment(t *testing.T) {
	v, o := begin(t)
	o.maps["shop/conf"] = map[string]string{"a": "1"}
	pod := manifest(t, "[{name: conf, configMap: {name: conf}}]")
	setUp(t, v, pod)
	pod.Spec.Containers[0].VolumeMounts[0].SubPath = "a"
	read := func(path string) string {
		b, err := os.ReadFile(path)
		check.NoError(t, "read", err)
		return string(b)
	}
	path := at(t, v, pod, "conf")
	check.Equal(t, "the file", "1", read(path))
	o.maps["shop/conf"] = map[string]string{"a": "2"}
	setUp(t, v, pod)
	check.Equal(t, "the file that a container has, after an update", "1", read(path))
	check.Equal(t, "what the container gets that starts next", "2", read(at(t, v, pod, "conf")))
	before := mounts(t)
	at(t, v, pod, "conf")
	check.Equal(t, "mounts after asking again", before, mounts(t))
}

// A container swaps a folder for a link to the host's, as fast as it can (CVE-2021-25741).
func TestSubPath_WinsTheRace(t *testing.T) {
	v, _ := begin(t)
	pod := manifest(t, "[{name: e, emptyDir: {}}]")
	setUp(t, v, pod)
	volume, outside := at(t, v, pod, "e"), t.TempDir()
	write(t, filepath.Join(outside, "sub", "secret"), "of the host")
	write(t, filepath.Join(volume, "d", "sub", "file"), "mine")
	check.NoError(t, "link", os.Symlink(outside, filepath.Join(volume, "l")))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, filepath.Join(volume, "d"), unix.AT_FDCWD, filepath.Join(volume, "l"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	stop := sync.OnceFunc(func() { close(done); <-ended })
	defer stop()
	tries, bound, refused := 0, 0, 0
	check.Eventually(t, "bind a subPath during the race", "300 tries, some bound and some refused", func() bool {
		for range 50 {
			tries++
			to := filepath.Join(v.Dir, "u-1", "volume-subpaths", fmt.Sprint(tries%4))
			if err := bindSubPath(volume, "d/sub", to, "private"); err != nil {
				refused++
				continue
			}
			_, err := os.Stat(filepath.Join(to, "secret"))
			check.True(t, "bind a subPath during the race", err != nil, "a file of the host", "only what is in the volume")
			bound++
		}
		return tries >= 300 && bound > 10 && refused > 10
	})
	stop()
	check.Equal(t, "what is outside", "sub/secret=of the host:0644", tree(t, outside))
}
