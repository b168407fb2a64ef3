package docker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	images "coracle/03-images"
	"coracle/03-images/archive"
	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/dockerd"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// A two-layer image of docker build comes into the store, is unpacked as its Engine
// would, goes back under another name, and runs.
func TestEngine_ThereAndBack(t *testing.T) {
	exercise.NeedAll(t)
	d := dockerd.Start(t)
	dir := t.TempDir()
	dockerfile := "FROM scratch\nCOPY . /\nRUN [\"/bin/sh\", \"-c\", \"echo made > /made; rm /gone\"]\nENV A=b\nCMD [\"/bin/sh\", \"-c\", \"cat /made; echo $A\"]\n"
	root := baseRoot(t)
	check.NoError(t, "copy the base root", os.CopyFS(dir, os.DirFS(root)))
	check.NoError(t, "write", os.WriteFile(dir+"/gone", []byte("x"), 0o644))
	check.NoError(t, "write a Dockerfile", os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	d.Docker("build", "-q", "--network", "none", "-t", "demo:1", dir)

	ctx := context.Background()
	s, err := images.Open(t.TempDir(), images.Kernel)
	check.NoError(t, "open a store", err)
	e, err := Connect(ctx, d.Host)
	check.NoError(t, "connect to the Engine", err)
	defer e.Close()
	// The client knows a newer version than Debian's Engine: it must step down.
	check.Equal(t, "the API's version, which is the Engine's", strings.TrimSpace(d.Docker("version", "-f", "{{.Server.APIVersion}}")), e.Version())

	loaded, err := e.Import(ctx, s, []string{"demo:1"}, archive.LoadOptions{})
	check.NoError(t, "import demo:1", err)
	check.True(t, "what was imported", len(loaded) == 1 && loaded[0].Name == "docker.io/library/demo:1", fmt.Sprint(loaded), "docker.io/library/demo:1")
	img, err := s.Image("docker.io/library/demo:1", images.HostPlatform())
	check.NoError(t, "read the image", err)
	check.Equal(t, "its ID, which is the Engine's", strings.TrimSpace(d.Docker("image", "inspect", "-f", "{{.Id}}", "demo:1")), string(img.ID))
	chain, err := s.Unpack(ctx, img, nil)
	check.NoError(t, "unpack it", err)
	lower, err := s.Lowers(chain)
	check.NoError(t, "its layers", err)
	made, err := os.ReadFile(lower[0] + "/made")
	check.True(t, "the file that RUN made", err == nil && string(made) == "made\n", string(made), "made")

	target, err := s.Tagged("docker.io/library/demo:1")
	check.NoError(t, "find its name", err)
	check.NoError(t, "give it another", s.Tag(ctx, "docker.io/library/back:2", target))
	said, err := e.Export(ctx, s, []string{"docker.io/library/back:2"}, nil)
	check.NoError(t, "export back:2", err)
	check.True(t, "what the Engine said", strings.Contains(strings.Join(said, ""), "back:2"), strings.Join(said, ""), "back:2")
	_, err = e.Import(ctx, s, []string{string(img.ID)}, archive.LoadOptions{})
	check.ErrorHas(t, "import by an ID, which is no name", err, []string{"--name"})
	loaded, err = e.Import(ctx, s, []string{string(img.ID)}, archive.LoadOptions{Name: "third:3"})
	check.True(t, "import by an ID, with a name", err == nil && loaded[0].Name == "docker.io/library/third:3", fmt.Sprint(loaded, err), "third:3")
	check.Equal(t, "docker run back:2", "made\nb\n", d.Docker("run", "--rm", "--network", "none", "back:2"))
}

func TestEngine_Errors(t *testing.T) {
	sandbox.Need(t)
	ctx := context.Background()
	_, err := Connect(ctx, "unix:///no/such.sock")
	check.ErrorHas(t, "connect to nowhere", err, []string{"/no/such.sock"})
	sock := t.TempDir() + "/sock"
	l, err := net.Listen("unix", sock)
	check.NoError(t, "listen", err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Write([]byte("SSH-2.0-not docker\r\n"))
			c.Close()
		}
	}()
	_, err = Connect(ctx, "unix://"+sock)
	check.ErrorHas(t, "connect to something else", err, []string{"docker engine", sock})
	_, err = Connect(ctx, "nonsense")
	check.ErrorHas(t, "connect to nonsense", err, []string{"nonsense"})
}

func TestEngine_RefusalsAreErrors(t *testing.T) {
	exercise.NeedAll(t)
	d := dockerd.Start(t)
	ctx := context.Background()
	s, err := images.Open(t.TempDir(), images.Kernel)
	check.NoError(t, "open a store", err)
	e, err := Connect(ctx, d.Host)
	check.NoError(t, "connect to the Engine", err)
	defer e.Close()
	_, err = e.Import(ctx, s, []string{"no-such"}, archive.LoadOptions{})
	check.ErrorHas(t, "import what is not there", err, []string{"no-such"})
	_, err = e.Export(ctx, s, []string{"docker.io/library/no-such:latest"}, nil)
	check.ErrorIs(t, "export what is not there", err, images.ErrNotFound)
}

// baseRoot is a root file system with a shell.
func baseRoot(t *testing.T) string {
	t.Helper()
	sandbox.Need(t, sandbox.Feature{Name: "the base root file system", Fix: "./lab run 1 isolate -- true", Has: func() error {
		_, err := base.Current()
		return err
	}})
	root, err := base.Current()
	check.NoError(t, "find the base root", err)
	return root
}
