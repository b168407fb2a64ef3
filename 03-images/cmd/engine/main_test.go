package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/dockerd"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name.
func TestMain(m *testing.M) {
	if os.Args[0] == "engine" {
		main()
		os.Exit(0)
	}
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "03-images/cmd/engine", Cgroup: true}))
}

// engine runs the program to its end.
func engine(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "engine"
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_, err := check.Within(t, "engine "+strings.Join(args, " "), "it to end", func() (int, error) { return 0, cmd.Run() })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		check.NoError(t, "run engine", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestEngine_ThereAndBack(t *testing.T) {
	exercise.NeedAll(t)
	d := dockerd.Start(t)
	dir := t.TempDir()
	check.NoError(t, "write a Dockerfile", os.WriteFile(dir+"/Dockerfile", []byte("FROM scratch\nCOPY Dockerfile /\nLABEL a=b\n"), 0o644))
	d.Docker("build", "-q", "-t", "demo:1", dir)
	id := strings.TrimSpace(d.Docker("image", "inspect", "-f", "{{.Id}}", "demo:1"))
	env := []string{"CORACLE_STORE=" + t.TempDir(), "DOCKER_HOST=" + d.Host}
	out, errs, status := engine(t, env, "import", "demo:1")
	check.True(t, "engine import", status == 0 && strings.HasPrefix(out, "docker.io/library/demo:1 sha256:"), out+errs, "its full name and digest")
	d.Docker("rmi", "demo:1")
	out, errs, status = engine(t, env[:1], "export", "--host", d.Host, "demo:1")
	check.True(t, "engine export", status == 0 && strings.Contains(out, "demo:1"), out+errs, "what the Engine says")
	check.Equal(t, "the Engine's ID of it", id, strings.TrimSpace(d.Docker("image", "inspect", "-f", "{{.Id}}", "demo:1")))
	_, errs, status = engine(t, env, "import", "none:1")
	check.True(t, "engine import of what is not there", status == 125 && strings.Contains(errs, "none:1") && strings.Count(errs, "\n") == 1, errs, "status 125 and one line")
}

func TestEngine_BadInput(t *testing.T) {
	sandbox.Need(t)
	env := []string{"CORACLE_STORE=" + t.TempDir(), "DOCKER_HOST=unix:///no/such.sock"}
	for _, c := range []struct{ args, has string }{
		{"", "no command"},
		{"fly", `"fly"`},
		{"import", "usage: engine import"},
		{"import --nosuch x", "nosuch"},
		{"import x", "/no/such.sock"},
		{"export -H tcp://127.0.0.1:1 x", "127.0.0.1:1"},
		{"export -H nonsense x", "nonsense"},
		{"export --store /proc/none x", "/proc/none"},
	} {
		out, errs, status := engine(t, env, strings.Fields(c.args)...)
		did := "engine " + c.args
		check.Equal(t, "the exit status of "+did, 125, status)
		check.True(t, "what it says of "+did, out == "" && strings.HasPrefix(errs, "engine: ") && strings.Count(errs, "\n") == 1 && strings.Contains(errs, c.has),
			out+errs, "one line that holds "+c.has)
	}
}
