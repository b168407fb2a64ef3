package images

import (
	"archive/tar"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// One layer over another in one folder is what an overlay of the two shows.
func TestApply_Plain(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	below := []tarEntry{
		{Name: "./"}, {Name: "f", Content: "old"}, {Name: "d/", Mode: 0o700, Xattrs: map[string]string{"user.old": "1"}}, {Name: "d/f"}, {Name: "d/e/f"}, {Name: "d/\xff/f"}, {Name: "l", Kind: tar.TypeSymlink, Link: "d"},
		{Name: "pipe", Kind: tar.TypeFifo}, {Name: "two", Content: "2"}, {Name: "names", Kind: tar.TypeLink, Link: "two"},
	}
	for _, c := range []struct {
		did   string
		layer []tarEntry
	}{
		{"a file over a file", []tarEntry{{Name: "f", Content: "new", Mode: 0o600}}},
		{"a file over one of two names", []tarEntry{{Name: "two", Content: "new"}}},
		{"a folder over a file", []tarEntry{{Name: "f/"}, {Name: "f/new"}}},
		{"a folder that nobody names over a file", []tarEntry{{Name: "f/new"}, {Name: "pipe/new"}}},
		{"a file over a folder", []tarEntry{{Name: "d", Content: "new"}}},
		{"a link over a folder, and a file below it", []tarEntry{{Name: "real/"}, {Name: "d", Kind: tar.TypeSymlink, Link: "real"}, {Name: "d/new"}}},
		{"a folder over a folder", []tarEntry{{Name: "d/", Mode: 0o755, Xattrs: map[string]string{"user.new": "1"}}, {Name: "d/new"}}},
		{"a folder over a link", []tarEntry{{Name: "l/"}, {Name: "l/new"}}},
		{"a fifo over a folder", []tarEntry{{Name: "d", Kind: tar.TypeFifo}}},
		{"whiteouts", []tarEntry{{Name: ".wh.f"}, {Name: "d/.wh.e"}, {Name: ".wh.nothing"}, {Name: ".wh.l"}}},
		{"a whiteout of a folder, and in it", []tarEntry{{Name: ".wh.d"}, {Name: "d/.wh.e"}}},
		{"a whiteout of a folder that is new, and in it", []tarEntry{{Name: ".wh.d"}, {Name: "d/.wh.e"}, {Name: "d/"}}},
		{"a whiteout of a folder", []tarEntry{{Name: ".wh.d"}}},
		{"a whiteout before", []tarEntry{{Name: ".wh.d"}, {Name: "d/"}, {Name: "d/new"}}},
		{"a whiteout after", []tarEntry{{Name: "d/"}, {Name: "d/e/new"}, {Name: ".wh.d"}, {Name: "d/e/"}}},
		{"an opaque folder", []tarEntry{{Name: "d/"}, {Name: "d/f", Content: "new"}, {Name: "d/.wh..wh..opq"}}},
		{"an opaque folder that is new", []tarEntry{{Name: "n/"}, {Name: "n/.wh..wh..opq"}}},
		{"a file that is gone and new", []tarEntry{{Name: "f", Content: "new"}, {Name: ".wh.f"}}},
	} {
		lower, upper, plain := t.TempDir(), t.TempDir(), t.TempDir()
		apply(t, lower, ApplyOptions{}, below...)
		a := apply(t, upper, ApplyOptions{}, c.layer...)
		check.NoError(t, "give folders what they had", inherit(upper, a.Implicit, []string{lower}))
		apply(t, plain, ApplyOptions{Plain: true}, below...)
		apply(t, plain, ApplyOptions{Plain: true}, c.layer...)
		sameTree(t, c.did+", in a plain folder", describe(t, overlay(t, []string{upper, lower}, ""), storeOwners(), false), describe(t, plain, storeOwners(), false))
	}
}

func TestApply_PlainHostile(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	for _, c := range hostile {
		refused(t, c.did+", in a plain folder", ApplyOptions{Plain: true}, c.says, c.often, c.entries)
	}
	evil := []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "abs", Kind: tar.TypeSymlink, Link: "OUT"}, {Name: "loop", Kind: tar.TypeSymlink, Link: "loop"}}
	for _, link := range []string{"evil", "abs"} {
		for did, layer := range map[string][]tarEntry{
			"a file":        {{Name: link + "/canary", Content: "x"}},
			"a new file":    {{Name: link + "/new/file", Content: "x"}},
			"a folder":      {{Name: link + "/new/"}},
			"a whiteout":    {{Name: link + "/.wh.canary"}},
			"an opaque":     {{Name: link + "/.wh..wh..opq"}},
			"a hard link":   {{Name: "x", Kind: tar.TypeLink, Link: link + "/canary"}},
			"a hard link's": {{Name: "x"}, {Name: link + "/canary", Kind: tar.TypeLink, Link: "x"}},
		} {
			refused(t, did+" through "+link+" of an earlier layer", ApplyOptions{Plain: true}, []string{"escapes"}, "", evil, layer)
		}
	}
	refused(t, "a file through a link to itself", ApplyOptions{Plain: true}, []string{`"loop/f"`}, "", evil, []tarEntry{{Name: "loop/f"}})
}

// Names that are kept in memory have a limit of their own.
func TestTree_Remembers(t *testing.T) {
	sandbox.Need(t)
	tr, err := openTree(t.TempDir(), ApplyOptions{Owners: storeOwners()})
	check.NoError(t, "openTree", err)
	defer tr.Close()
	tr.room = 200
	_, err = tr.parent("a/b/c/d/e/f")
	check.ErrorIs(t, "more names than there is room for", err, ErrTooLarge)
}
