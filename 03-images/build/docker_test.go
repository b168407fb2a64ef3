package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/dockerd"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// The same Dockerfiles, built here and by docker build, give the same configs and
// the same files. Docker has two builders; where they differ BuildKit is followed.
var dockerfiles = map[string]string{
	"config": `ARG WHO=joe
FROM base
ARG WHO
ENV A=1 B="two words" C=$WHO
ENV A=2 D=${A}x PATH=/more:$PATH
LABEL a=b "c d"="e f" who=$WHO
EXPOSE 80 53/udp 8000-8002
VOLUME /data ["/x"]
WORKDIR /w
WORKDIR v/../u
USER 1000:100
SHELL ["/bin/sh", "-e", "-c"]
ENTRYPOINT ["/bin/echo", "$A"]
CMD one "two three"
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=2s --retries=4 CMD wget -q localhost || exit 1
ONBUILD RUN echo $A
`,
	"entrypoint resets cmd": "FROM base\nCMD a\nENTRYPOINT b c\n",
	"scratch":               "FROM scratch\nCOPY f /\nCMD [\"/f\"]\n",
	"healthcheck none":      "FROM base\nHEALTHCHECK NONE\nMAINTAINER me\n",
	"copy": `FROM base
WORKDIR /work
COPY f /n
COPY f g d/ /in/
COPY d sub/
COPY --chown=5:6 d /owned/
COPY *.go run.sh ./
COPY ["x y", "/x y"]
COPY lf /followed
COPY . /all
`,
	"add":    "FROM base\nADD a.tar.gz /n/\nADD a.tar.gz f /m/\nADD --chown=3:4 f /o\n",
	"stages": "FROM base AS one\nWORKDIR /s\nCOPY d .\nRUN echo made > made && ln -s made link && rm a\nFROM base AS unused\nRUN true\nFROM base\nCOPY --from=one /s /t\nCOPY --from=0 /s/made /n/\n",
	"run": `FROM base
ARG X=1
ENV Y=$X
RUN echo "$X $Y $HOME $(pwd)" > /out && mkdir -p /a/b && chmod 750 /a && chown 7:8 /a/b && touch /a/b/c && ln /a/b/c /a/h
RUN rm -r /a/b && rm /bin/ls && mkdir /a/b && echo new > /a/b/d
USER nobody
WORKDIR /tmp
RUN id -u > /tmp/id && umask > /tmp/umask
RUN ["/bin/sh", "-c", "echo $HOME > home"]
`,
}

// What only BuildKit does: the folders on the way belong to --chown's user, a new
// WORKDIR to USER's, --from keeps owners, --chmod.
var buildkitfiles = map[string]string{
	"owners": `FROM base AS one
COPY --chown=5:6 --chmod=640 d /a/b/
USER 7:8
WORKDIR /w/x
FROM base
COPY --from=one /a /c
COPY --from=one /w /w
COPY --chown=1:2 f g /e/f/
COPY --chmod=711 f /h
`,
	"tops":  "FROM base AS one\nCOPY --chown=5:6 --chmod=701 d/sub /s\nFROM base\nCOPY d/sub /n1\nCOPY --chown=1:2 d/sub /n2\nCOPY --chmod=700 d/sub /n3\nCOPY --from=one /s /n4\nCOPY --from=one --chown=7:7 --chmod=777 /s /n5\n",
	"modes": "FROM base\nADD --chmod=701 a.tar.gz f /n/\n",
	"globs": "FROM base\nCOPY d/s* d/a none* /n/\nCOPY lf d/* /m/\n",
}

func TestDocker_SameImage(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	engine := dockerd.Start(t)
	root, err := base.Current()
	check.NoError(t, "the base root", err)
	baseFile := t.TempDir() + "/Dockerfile"
	check.NoError(t, "write", os.WriteFile(baseFile, []byte("FROM scratch\nCOPY . /\nCMD [\"/bin/sh\"]\n"), 0o644))
	engine.Docker("build", "-q", "-f", baseFile, "-t", "base", root)
	dir := folder(t, map[string]string{"f": "1", "g": "2", "d/a": "a", "d/sub/b": "b", "d/l -> a": "", "x y": "3", "m.go": "4", "run.sh": "5", "lf -> d/a": "", "secret/s": "6", "secret/keep": "7",
		"x.o": "8", ".dockerignore": "**/*.o\nsecret\n!secret/keep\n"})
	check.NoError(t, "chmod", os.Chmod(dir+"/run.sh", 0o755))
	check.NoError(t, "chmod", os.Chmod(dir+"/d/sub", 0o750))
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "in/f", Mode: 0o640, Uid: 3, Gid: 4, Linkname: "1"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "in/f", Mode: 0o777})
	check.NoError(t, "write", os.WriteFile(dir+"/a.tar.gz", gzipped(plain), 0o644))
	compare := func(t *testing.T, text string, theirBuild func(t *testing.T)) {
		sandbox.Need(t)
		check.NoError(t, "write", os.WriteFile(dir+"/Dockerfile", []byte(text), 0o644))
		theirBuild(t)
		_, img := build(t, store, text, dir)
		var ours struct {
			Config map[string]any `json:"config"`
		}
		check.NoError(t, "our config", json.Unmarshal(img.ConfigJSON, &ours))
		var theirs map[string]any
		check.NoError(t, "their config", json.Unmarshal([]byte(engine.Docker("image", "inspect", "-f", "{{json .Config}}", "theirs")), &theirs))
		for _, field := range []string{"Env", "Cmd", "Entrypoint", "Labels", "Volumes", "ExposedPorts", "User", "WorkingDir", "StopSignal", "Shell", "Healthcheck", "OnBuild"} {
			check.Equal(t, "config."+field, normal(theirs[field]), normal(ours.Config[field]))
		}
		compareFiles(t, exported(t, engine), listFiles(t, store, img))
	}
	buildkit := func(t *testing.T) {
		cmd := engine.Command(t.Context(), "build", "-q", "--network", "none", "-t", "theirs", dir)
		cmd.Path = "/usr/bin/docker" // the package's, which needs no plug-in for it
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(out), "buildx") {
			t.Skip(sandbox.Cannot + "BuildKit: this docker needs its buildx plug-in: apt-get install docker-buildx")
		}
		check.NoError(t, "docker build: "+string(out), err)
	}
	for name, text := range dockerfiles {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("the older builder takes a second for each")
			}
			compare(t, text, func(t *testing.T) { engine.Docker("build", "-q", "--network", "none", "-t", "theirs", dir) })
		})
		t.Run("BuildKit "+name, func(t *testing.T) { compare(t, text, buildkit) })
	}
	for name, text := range buildkitfiles {
		t.Run("BuildKit "+name, func(t *testing.T) { compare(t, text, buildkit) })
	}
}

// normal makes nothing of what stands for nothing: an absent WorkingDir is "/".
func normal(v any) string {
	text, _ := json.Marshal(v)
	switch s := string(text); s {
	case "null", "[]", "{}", `""`, `"/"`:
		return ""
	default:
		return s
	}
}

// exported are the files of the image "theirs", as listFiles lists ours.
func exported(t *testing.T, engine *dockerd.Engine) map[string]string {
	t.Helper()
	id := strings.TrimSpace(engine.Docker("create", "--network", "none", "theirs", "x"))
	defer engine.Docker("rm", id)
	files := map[string]string{}
	in := tar.NewReader(strings.NewReader(engine.Docker("export", id)))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		check.NoError(t, "read docker export", err)
		mode := h.FileInfo().Mode()
		text := mode.String()
		if h.Typeflag == tar.TypeSymlink {
			text = "Lrwxrwxrwx"
		}
		if h.Uid != 0 || h.Gid != 0 {
			text += fmt.Sprintf(" %d:%d", h.Uid, h.Gid)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			text += " -> " + h.Linkname
		case tar.TypeReg:
			var start bytes.Buffer
			io.CopyN(&start, in, 200)
			text += " " + start.String()
		case tar.TypeLink:
			text = files["/"+h.Linkname]
		}
		files["/"+strings.TrimSuffix(h.Name, "/")] = text
	}
}

// compareFiles leaves out what Docker puts into every container.
func compareFiles(t *testing.T, theirs, ours map[string]string) {
	t.Helper()
	for name, text := range theirs {
		switch name {
		case "/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/dev/console", "/dev/pts", "/dev/shm", "/data", "/x":
		case "/proc", "/sys", "/dev", "/etc":
			check.True(t, name, ours[name] == "" || ours[name] == text, ours[name], text)
		default:
			check.Equal(t, name, text, ours[name])
		}
	}
	for name := range ours {
		if name != "/." {
			check.True(t, name, theirs[name] != "", "only here", "in Docker's image as well")
		}
	}
}

func gzipped(data []byte) []byte {
	cmd := exec.Command("gzip", "-c")
	cmd.Stdin = bytes.NewReader(data)
	out, _ := cmd.Output()
	return out
}
