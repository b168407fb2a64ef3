package main

import (
	"os"
	"strings"
	"testing"

	"coracle/internal/check"
)

// Each bad input gets one line that says what and where, status 125, and leaves
// nothing.
func TestImage_BadInput(t *testing.T) {
	need(t)
	u := newUser(t)
	u.builds("demo:1")
	dir, empty := t.TempDir(), t.TempDir()
	plain := dir + "/plain"
	check.NoError(t, "write", os.WriteFile(plain, []byte("text, and no archive of anything at all\n"), 0o644))
	bad := folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPPY a /\n"})
	missing := folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY none /\n"})
	noBase := folderOf(t, map[string]string{"Dockerfile": "FROM 127.0.0.1:1/none\n"})
	u.does("mount", "demo:1", empty, "--", "true") // its layers are unpacked then, and of that nothing is said
	before := left(t)
	for _, c := range []struct {
		args   string
		status int
		has    string
	}{
		{"", 125, "no command"},
		{"fly", 125, `"fly"`},
		{"ls --nosuch", 125, "nosuch"},
		{"ls x", 125, "usage: image ls"},
		{"ls --platform", 125, "platform"},
		{"ls --platform a/b/c/d", 125, "a/b/c/d"},
		{"ls --store " + plain, 125, plain},
		{"inspect", 125, "usage: image inspect"},
		{"inspect none", 125, "docker.io/library/none:latest"},
		{"inspect none@sha256:12", 125, "none@sha256:12"},
		{"inspect UPPER", 125, "UPPER"},
		{"inspect demo:1 --platform linux/s390x", 125, "linux/s390x"},
		{"inspect sha256:" + strings.Repeat("0", 64), 125, strings.Repeat("0", 64)},
		{"inspect ../../etc/passwd", 125, "../../etc/passwd"},
		{"history none", 125, "none"},
		{"tag demo:1", 125, "usage: image tag"},
		{"tag none x", 125, "none"},
		{"tag demo:1 a:b:c", 125, "a:b:c"},
		{"tag demo:1 a@sha256:" + strings.Repeat("0", 64), 125, "does not match"},
		{"rm none", 125, "none"},
		{"pull 127.0.0.1:1/none", 125, "127.0.0.1:1"},
		{"pull --ca " + plain + " x", 125, "PEM"},
		{"pull --ca " + dir + "/none x", 125, dir + "/none"},
		{"pull --creds me x", 125, "USER:PASSWORD"},
		{"pull --creds me:pw 127.0.0.1:1/a 127.0.0.1:2/a", 125, "one registry"},
		{"push none", 125, "none"},
		{"push demo:1 127.0.0.1:1/x", 125, "127.0.0.1:1"},
		{"save none", 125, "none"},
		{"save demo:1 -o " + dir + "/none/x.tar", 125, dir + "/none"},
		{"load -i " + dir + "/none", 125, dir + "/none"},
		{"load -i " + plain, 125, "archive"},
		{"load -i " + dir, 125, dir},
		{"load", 125, "archive"},
		{"build", 125, "usage: image build"},
		{"build " + dir + "/none", 125, dir + "/none"},
		{"build " + empty, 125, empty + "/Dockerfile"},
		{"build " + bad, 125, bad + "/Dockerfile:2"},
		{"build " + missing, 125, missing + "/Dockerfile:2"},
		{"build " + noBase, 125, "127.0.0.1:1/none"},
		{"build --target none " + missing, 125, "none"},
		{"build --network moon " + missing, 125, `"moon"`},
		{"build --build-arg = " + missing, 125, "--build-arg"},
		{"build -t a:b:c " + missing, 125, "a:b:c"},
		{"unpack none " + empty, 125, "none"},
		{"unpack demo:1 " + dir + "/none/x", 125, dir + "/none"},
		{"unpack demo:1 " + dir, 125, "not empty"},
		{"unpack demo:1 " + plain, 125, plain},
		{"mount demo:1", 125, "usage: image mount"},
		{"mount demo:1 " + empty + " ls", 125, "usage: image mount"},
		{"mount demo:1 " + empty + " --", 125, "no command"},
		{"mount demo:1 " + dir + "/none -- true", 125, dir + "/none"},
		{"mount demo:1 " + plain + " -- true", 125, plain + ": not a directory"},
		{"mount none " + empty + " -- true", 125, "none"},
		{"mount --writable demo:1 " + empty, 125, "--writable"},
		{"mount demo:1 " + empty + " -- no-such-program", 127, "no-such-program"},
		{"mount demo:1 " + empty + " -- " + dir + "/none", 127, dir + "/none"},
		{"mount demo:1 " + empty + " -- " + plain, 126, plain},
		{"registry --listen nowhere", 125, "nowhere"},
		{"registry --listen 127.0.0.1:0 --cert " + plain + " --key " + plain, 125, "PEM"},
	} {
		out, errs, status := u.calls(strings.Fields(c.args)...)
		did := "image " + c.args
		check.Equal(t, "the exit status of "+did+" ("+strings.TrimSpace(errs)+")", c.status, status)
		check.True(t, "stderr of "+did, strings.HasPrefix(errs, "image: ") && strings.Count(errs, "\n") == 1 && strings.Contains(errs, c.has),
			errs, "one line that holds "+c.has)
		check.True(t, "stdout of "+did, out == "" || strings.HasPrefix(out, "listening"), out, "nothing")
		check.True(t, "what is left of "+did, left(t) == before, left(t), "nothing new")
	}
	for _, args := range [][]string{{"--help"}, {"pull", "--help"}, {"help", "build"}} {
		out, errs, status := u.calls(args...)
		check.True(t, "image "+strings.Join(args, " "), status == 0 && errs == "" && strings.Contains(out, "Usage:"), out+errs, "help on stdout")
	}
	check.True(t, "what is in the store", strings.Count(u.does("ls"), "\n") == 2, u.does("ls"), "demo:1 alone")
}
