package remote

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"coracle/internal/check"
)

const sum = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	for name, want := range map[string]struct{ full, familiar string }{
		"debian":                   {"docker.io/library/debian:latest", "debian:latest"},
		"me/app:1":                 {"docker.io/me/app:1", "me/app:1"},
		"index.docker.io/debian":   {"docker.io/library/debian:latest", "debian:latest"},
		"localhost:5000/app":       {"localhost:5000/app:latest", "localhost:5000/app:latest"},
		"[::1]:5000/a/b/c:v1.2-x_": {"[::1]:5000/a/b/c:v1.2-x_", "[::1]:5000/a/b/c:v1.2-x_"},
		"r.example/app@" + sum:     {"r.example/app@" + sum, "r.example/app@" + sum},
		"debian:12@" + sum:         {"docker.io/library/debian@" + sum, "debian@" + sum},
	} {
		ref, err := Parse(name)
		check.NoError(t, "Parse("+name+")", err)
		check.Equal(t, "Parse("+name+") in full", want.full, ref.String())
		check.Equal(t, "Parse("+name+") as people write it", want.familiar, ref.Familiar())
	}
	for _, bad := range []string{"", ":1", "Debian", "a b", "app:", "app@", "app@sha256:12", "../../etc/passwd", "r.example/", "app:" + strings.Repeat("x", 200),
		"app@sha512:" + strings.Repeat("0", 128), strings.TrimPrefix(sum, "sha256:"), "a\x1b[2J", strings.Repeat("a/", 200) + "a", "app?x=1", "app#f", "user@host/app"} {
		_, err := Parse(bad)
		check.True(t, "Parse("+bad+")", err != nil && !strings.ContainsAny(err.Error(), "\n\x1b"), check.Error(err), "an error of one line")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"debian", "localhost:5000/app:1", "a.b/c@" + sum, "../x", "[::1]:5000/a", "A/b", "a/b:c@d", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ref, err := Parse(name)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: an error of two lines: %v", name, err)
			}
			return
		}
		if again, err := Parse(ref.String()); err != nil || again != ref {
			t.Fatalf("%q is %v, which is %v (%v)", name, ref, again, err)
		}
		if again, err := Parse(ref.Familiar()); err != nil || again != ref {
			t.Fatalf("%q is %v, as people write it %s, which is %v (%v)", name, ref, ref.Familiar(), again, err)
		}
		for _, part := range strings.Split(ref.Repository+"/"+ref.object(), "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "?#%\\ ") {
				t.Fatalf("%q: %q in a URL", name, part)
			}
		}
	})
}

func TestParseChallenges(t *testing.T) {
	for text, want := range map[string][]Challenge{
		`Basic realm="r"`: {{"basic", map[string]string{"realm": "r"}}},
		`Bearer realm="https://a.example/t",service="a b", scope="repository:app:pull,push"`: {{"bearer", map[string]string{
			"realm": "https://a.example/t", "service": "a b", "scope": "repository:app:pull,push"}}},
		`BEARER Realm = "x" , Basic realm=y`:      {{"bearer", map[string]string{"realm": "x"}}, {"basic", map[string]string{"realm": "y"}}},
		`Negotiate, Basic realm="a \"b\", c=\\d"`: {{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": `a "b", c=\d`}}},
		`realm="x"`:               nil,
		``:                        nil,
		`, ,`:                     nil,
		`"`:                       nil,
		`Basic realm="never ends`: {{"basic", map[string]string{"realm": "never ends"}}},
	} {
		got := challenge(text)
		check.True(t, "ParseChallenges("+text+")", reflect.DeepEqual(want, got), reflect.ValueOf(got).String(), "as in the test")
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a.example/t",service="a b", Basic realm=y`)
	f.Add(`Negotiate abc==, Basic realm="\"`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range ParseChallenges(http.Header{"Www-Authenticate": {text}}) {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) {
				t.Fatalf("%q: scheme %q", text, c.Scheme)
			}
		}
	})
}
