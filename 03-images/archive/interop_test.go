package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func program(name string) sandbox.Feature {
	return sandbox.Feature{Name: name, Fix: "apt-get install " + name, Has: func() error {
		_, err := exec.LookPath(name)
		return err
	}}
}

// tool runs another's program and returns what it wrote.
func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if name == "skopeo" { // it would use /var/tmp, which is read-only here
		args = append([]string{"--tmpdir", t.TempDir(), "--insecure-policy"}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR=")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	check.True(t, fmt.Sprint(name, args), err == nil, errs.String(), "no error")
	return out
}

func saved(t *testing.T, s *images.Store, names ...string) string {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/saved.tar")
	check.NoError(t, "create a file", err)
	check.NoError(t, "save", Save(ctx, s, f, names, SaveOptions{}))
	check.NoError(t, "close", f.Close())
	return f.Name()
}

func TestSkopeo_ReadsOursAndWeIts(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, program("skopeo"))
	s := openStore(t)
	parts := picture(t, images.HostPlatform(), v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayer)
	d := keep(t, s, demo, parts)
	ours, dir := saved(t, s, demo), t.TempDir()
	var seen struct{ Digest, Architecture string }
	check.NoError(t, "parse what skopeo says", json.Unmarshal(tool(t, "skopeo", "inspect", "oci-archive:"+ours), &seen))
	check.Equal(t, "the digest that skopeo inspect shows", string(d.Digest), seen.Digest)

	// To each format and back: the same config, so the same image.
	for _, c := range []struct{ format, tag, name string }{
		{"docker-archive:", ":demo:1", ""}, {"oci-archive:", ":docker.io/library/demo:1", ""}, {"oci-archive:", ":1", "demo:1"},
	} {
		for _, from := range []string{"oci-archive:", "docker-archive:"} {
			file := filepath.Join(dir, "from-skopeo.tar")
			os.Remove(file)
			tool(t, "skopeo", "copy", "-q", from+ours, c.format+file+c.tag)
			f, err := os.Open(file)
			check.NoError(t, "open what skopeo wrote", err)
			to := openStore(t)
			loaded, err := Load(ctx, to, f, LoadOptions{Name: c.name})
			f.Close()
			did := "load what skopeo copied from " + from + " to " + c.format
			check.NoError(t, did, err)
			check.Equal(t, did+": its name", demo, loaded[0].Name)
			img, err := to.Image(demo, images.HostPlatform())
			check.NoError(t, did+": read it", err)
			check.Equal(t, did+": its ID", parts[2].Digest, img.ID)
		}
	}
}

func TestUmoci_UnpacksOursAndWeReadIts(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, program("umoci"))
	s := openStore(t)
	keep(t, s, demo, picture(t, images.HostPlatform(), v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayerGzip))
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours")
	check.NoError(t, "make a folder", os.Mkdir(ours, 0o755))
	tool(t, "tar", "-C", ours, "-xf", saved(t, s, demo))
	flags := []string{"--image", ours + ":1", dir + "/bundle"}
	if sandbox.CurrentMode() != sandbox.Root {
		flags = append([]string{"--rootless"}, flags...)
	}
	tool(t, "umoci", append([]string{"unpack"}, flags...)...)
	body, err := os.ReadFile(dir + "/bundle/rootfs/name")
	check.True(t, "what umoci unpacked", err == nil && string(body) == images.HostPlatform().Architecture+" b", string(body), "the second layer's file")

	theirs := filepath.Join(dir, "theirs")
	tool(t, "umoci", "init", "--layout", theirs)
	tool(t, "umoci", "new", "--image", theirs+":1")
	tool(t, "umoci", "config", "--image", theirs+":1", "--config.env", "A=b")
	f, err := os.Open(tarFolder(t, theirs))
	check.NoError(t, "open what umoci made", err)
	defer f.Close()
	to := openStore(t)
	loaded, err := Load(ctx, to, f, LoadOptions{Name: "demo:1"})
	check.NoError(t, "load what umoci made", err)
	img, err := to.Image(loaded[0].Name, images.HostPlatform())
	check.NoError(t, "read it", err)
	check.Equal(t, "its environment", []string{"A=b"}, img.Config.Config.Env)
}

// tarFolder packs a layout as it lies on the disk.
func tarFolder(t *testing.T, dir string) string {
	t.Helper()
	file := t.TempDir() + "/theirs.tar"
	tool(t, "tar", "-C", dir, "-cf", file, ".")
	return file
}
