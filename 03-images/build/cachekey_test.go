package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

var parentKey = digest.FromString("parent")

func runStep() Step {
	return Step{Kind: Run, Args: []string{"/bin/sh", "-c", "make"}, Env: []string{"A=1", "B=2"}, Dir: "/src", User: "joe",
		Script: &Inline{"EOF", "#!/bin/sh\n"}, Proxy: []string{"http_proxy=one"}, Line: 3, Text: "RUN make", History: 2, FromStage: -1}
}

func copyStep() Step {
	mode := fs.FileMode(0o755)
	return Step{Kind: Copy, Sources: []string{"a", "b*"}, Dest: "/app/", Chown: "1:2", Chmod: &mode, FromStage: -1,
		Files: []Inline{{"EOF", "text"}}, Line: 3, Text: "COPY a b* /app/"}
}

var twoContents = []digest.Digest{digest.FromString("a"), digest.FromString("b")}

// A change of a step, and what it is called.
type change struct {
	what string
	make func(*Step)
}

func TestKey_KnowsWhatCounts(t *testing.T) {
	exercise.Need(t, "3.8")
	run := runStep()
	check.NoError(t, "Key of a RUN as a digest", Key(parentKey, &run, nil).Validate())
	for _, c := range []change{
		{"another argument", func(s *Step) { s.Args[2] = "make all" }},
		{"an argument of two words for two", func(s *Step) { s.Args = []string{"/bin/sh -c", "make"} }},
		{"two arguments for one with a quote", func(s *Step) { s.Args = []string{`/bin/sh" "-c`, "make"} }},
		{"a byte more that is no letter", func(s *Step) { s.Args[2] = "make\xff" }},
		{"the value of a variable", func(s *Step) { s.Env[0] = "A=2" }},
		{"a variable for an argument", func(s *Step) { s.Args, s.Env = append(s.Args, s.Env[0]), s.Env[1:] }},
		{"one variable for two, a space between", func(s *Step) { s.Env = []string{"A=1 B=2"} }},
		{"the folder", func(s *Step) { s.Dir = "/" }},
		{"a letter of the user for one of the folder", func(s *Step) { s.Dir, s.User = "/srcj", "oe" }},
		{"the user", func(s *Step) { s.User = "" }},
		{"the script", func(s *Step) { s.Script = &Inline{"EOF", "#!/bin/sh\nexit\n"} }},
		{"the script's name", func(s *Step) { s.Script.Name = "END" }},
		{"a letter of the script's name for one of its text", func(s *Step) { s.Script = &Inline{"EOF#", "!/bin/sh\n"} }},
		{"no script", func(s *Step) { s.Script = nil }},
		{"no network", func(s *Step) { s.Offline = true }},
		{"a WORKDIR of the same folder and user", func(s *Step) { s.Kind = Workdir }},
	} {
		s := runStep()
		c.make(&s)
		check.True(t, "Key of a RUN with "+c.what, Key(parentKey, &s, nil) != Key(parentKey, &run, nil), "the key it had", "another",
			check.Often(strings.Contains(c.what, " for "), "what is hashed runs together: two steps come to one text"),
			check.Often(true, "only the command is hashed, and it is not all that a program depends on"))
	}
	for what, put := range map[string]func(s *Step, text string){
		"an argument":            func(s *Step, text string) { s.Args = []string{text} },
		"a variable":             func(s *Step, text string) { s.Env = []string{text} },
		"a script":               func(s *Step, text string) { s.Script = &Inline{"EOF", text} },
		"COPY's destination":     func(s *Step, text string) { s.Kind, s.Dest = Copy, text },
		"COPY's here-document":   func(s *Step, text string) { s.Kind, s.Files = Copy, []Inline{{"EOF", text}} },
		"a WORKDIR":              func(s *Step, text string) { s.Kind, s.Dir = Workdir, text },
		"the name of a document": func(s *Step, text string) { s.Kind, s.Files = Copy, []Inline{{text, ""}} },
	} {
		odd, odder := runStep(), runStep()
		put(&odd, "make\xff")
		put(&odder, "make\xfe")
		check.True(t, "Keys of two bytes that are no letters, in "+what, Key(parentKey, &odd, nil) != Key(parentKey, &odder, nil), "one key", "two",
			check.Often(true, noLetters))
	}
	cp := copyStep()
	for _, c := range []change{
		{"another destination", func(s *Step) { s.Dest = "/opt/" }},
		{"no slash at its end", func(s *Step) { s.Dest = "/app" }},
		{"a letter of the owner for one of the destination", func(s *Step) { s.Dest, s.Chown = "/app/1", ":2" }},
		{"another owner", func(s *Step) { s.Chown = "" }},
		{"the sources' modes", func(s *Step) { s.Chmod = nil }},
		{"mode 000", func(s *Step) { s.Chmod = new(fs.FileMode) }},
		{"mode 4755 and not 755", func(s *Step) { *s.Chmod |= fs.ModeSetuid }},
		{"a letter of a here-document's name for one of its text", func(s *Step) { s.Files = []Inline{{"EOFt", "ext"}} }},
		{"a here-document's text", func(s *Step) { s.Files[0].Data = "other" }},
		{"a here-document's name", func(s *Step) { s.Files[0].Name = "other" }},
		{"an archive unpacked", func(s *Step) { s.Unpack = true }},
	} {
		s := copyStep()
		c.make(&s)
		check.True(t, "Key of a COPY with "+c.what, Key(parentKey, &s, twoContents) != Key(parentKey, &cp, twoContents), "the key it had", "another",
			check.Often(strings.Contains(c.what, " for "), "what is hashed runs together: two steps come to one text"),
			check.Often(strings.Contains(c.what, "4755"), "Perm is nine bits: set-user-ID, set-group-ID and sticky are not among them"),
			check.Often(true, "only what is copied is hashed, and not where to and whose it becomes"))
	}
	none, zero := copyStep(), copyStep()
	none.Chmod, zero.Chmod = nil, new(fs.FileMode)
	check.True(t, "Key of a COPY with --chmod=000 and of one without", Key(parentKey, &none, nil) != Key(parentKey, &zero, nil), "one key", "two",
		check.Often(true, "a mode that is not given is taken for mode 000"))
	at := Step{Kind: Workdir, Dir: "/w", User: "joe"}
	for what, other := range map[string]Step{"folder": {Kind: Workdir, Dir: "/v", User: "joe"}, "user": {Kind: Workdir, Dir: "/w"}} {
		check.True(t, "Key of a WORKDIR with another "+what, Key(parentKey, &other, nil) != Key(parentKey, &at, nil), "the key it had", "another")
	}
	for what, contents := range map[string][]digest.Digest{"of other content": twoContents[:1], "of its sources in another order": {twoContents[1], twoContents[0]}} {
		check.True(t, "Key of a COPY "+what, Key(parentKey, &cp, contents) != Key(parentKey, &cp, twoContents), "the key it had", "another",
			check.Often(true, "a COPY's key does not know what is copied: an old file stays in the image"))
	}
}

func TestKey_IgnoresWhatDoesNotCount(t *testing.T) {
	exercise.Need(t, "3.8")
	for _, c := range []change{
		{"another line", func(s *Step) { s.Line = 9 }},
		{"a comment", func(s *Step) { s.Text = "RUN   make # all" }},
		{"more history", func(s *Step) { s.History = 7 }},
		{"another proxy", func(s *Step) { s.Proxy = []string{"http_proxy=two"} }},
		{"its sources called otherwise", func(s *Step) { s.Sources = []string{"./a", "b?"} }},
		{"other words for its sources", func(s *Step) { s.FromImage, s.Exclude = "base:2", []string{"none"} }},
		{"another stage's number", func(s *Step) { s.FromStage = 4 }},
	} {
		for _, make := range []func() Step{runStep, copyStep} {
			a, b := make(), make()
			c.make(&b)
			key := Key(parentKey, &a, twoContents)
			check.NoError(t, "Key of a "+string(a.Kind)+" as a digest", key.Validate())
			check.Equal(t, "Key of a "+string(a.Kind)+" with "+c.what, key, Key(parentKey, &b, twoContents),
				check.Often(c.what == "another proxy", "the way to the network is hashed, and differs on each machine"),
				check.Often(strings.Contains(c.what, "source") || strings.Contains(c.what, "stage"), "a COPY is known by its words and not by what they name"),
				check.Often(true, "the instruction's text and place are hashed: an empty line builds everything anew"))
		}
	}
}

func TestKey_KnowsAllStepsBefore(t *testing.T) {
	exercise.Need(t, "3.8")
	other := digest.FromString("other")
	for _, s := range []Step{runStep(), copyStep(), {Kind: Workdir, Dir: "/w"}} {
		check.True(t, "Key of a "+string(s.Kind)+" on another parent", Key(parentKey, &s, nil) != Key(other, &s, nil), "the key it had", "another",
			check.Often(true, "a key without its parent: a step is taken from another image"))
	}
	s := runStep()
	one := Key(parentKey, &s, nil)
	check.Equal(t, "Key of the same step on the same parent", one, Key(parentKey, &s, nil),
		check.Often(true, "the key changes from call to call: a map or a time is in it"))
	check.NoError(t, "the key as a digest", one.Validate())
	s.Env, s.Files = []string{"B=2", "A=1"}, []Inline{{"b", ""}, {"a", ""}}
	two := slices.Clone(twoContents)
	for _, s.Kind = range []Kind{Run, Copy, Workdir} {
		Key(parentKey, &s, two)
		check.True(t, "Env, Files and contents after Key of a "+string(s.Kind), s.Env[0] == "B=2" && s.Files[0].Name == "b" && slices.Equal(two, twoContents),
			"in another order", "as they were", check.Often(true, "slices.Sort sorts the step's own list, and the program gets it so"))
	}
	amd := v1.Platform{OS: "linux", Architecture: "amd64"}
	base := BaseKey(parentKey, amd, 0)
	check.NoError(t, "BaseKey as a digest", base.Validate())
	for what, other := range map[string]digest.Digest{
		"other layers": BaseKey("", amd, 0),
		"another CPU":  BaseKey(parentKey, v1.Platform{OS: "linux", Architecture: "arm64"}, 0),
		"a variant":    BaseKey(parentKey, v1.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}, 0),
		"a letter of the CPU for one of the system": BaseKey(parentKey, v1.Platform{OS: "linuxa", Architecture: "md64"}, 0),
		"another epoch": BaseKey(parentKey, amd, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
	} {
		check.True(t, "BaseKey of "+what, base != other, "the key it had", "another",
			check.Often(strings.Contains(what, " for "), "what is hashed runs together: two platforms come to one text"),
			check.Often(true, "what decides every layer of a build is in no key: platform and time"))
	}
}

// sumOf is the Checksum of entries whose content is looked up by path. Whatever is
// opened is to be closed.
func sumOf(t *testing.T, content map[string]string, entries ...Entry) digest.Digest {
	t.Helper()
	open := map[string]bool{}
	sum, err := Checksum(each(entries, nil), func(e Entry) (io.ReadCloser, error) {
		check.True(t, "Checksum at "+e.Path, len(open) == 0, fmt.Sprint("still open: ", open), "the file before it closed", check.Often(true, leftOpen))
		open[e.Path] = true
		return closing{strings.NewReader(content[e.Path]), func() { delete(open, e.Path) }}, nil
	})
	check.NoError(t, "Checksum", err)
	check.True(t, "files after Checksum", len(open) == 0, fmt.Sprint("still open: ", open), "all closed", check.Often(true, leftOpen))
	return sum
}

const runsTogether = "an entry's fields run together: two entries come to one text"

const noLetters = "JSON and runes make one letter of all bytes that are none"

const leftOpen = "a file is opened and never closed: a large context runs out of descriptors"

type closing struct {
	io.Reader
	close func()
}

func (c closing) Close() error { c.close(); return nil }

func each(entries []Entry, end error) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(Entry{}, end)
		}
	}
}

func TestChecksum_KnowsFilesByContent(t *testing.T) {
	exercise.Need(t, "3.8")
	entries := func() []Entry {
		return []Entry{{Path: ".", Mode: fs.ModeDir | 0o755}, {Path: "a", Mode: 0o644}, {Path: "b", Mode: 0o644}, {Path: "l", Mode: fs.ModeSymlink | 0o777, Link: "a"}}
	}
	content := map[string]string{"a": "one", "b": "two"}
	same := sumOf(t, content, entries()...)
	check.Equal(t, "Checksum a second time", same, sumOf(t, content, entries()...))
	check.NoError(t, "the checksum as a digest", same.Validate())
	moved := entries()
	for i := range moved {
		moved[i].name = "elsewhere/" + moved[i].Path
	}
	check.Equal(t, "Checksum of the same files elsewhere in the tree", same, sumOf(t, content, moved...),
		check.Often(true, "%+v prints an Entry's unexported name, too: where below the tree it was found"))
	for _, c := range []struct {
		what string
		make func(e []Entry)
	}{
		{"another mode", func(e []Entry) { e[1].Mode = 0o600 }},
		{"a set-user-ID bit", func(e []Entry) { e[1].Mode |= fs.ModeSetuid }},
		{"another owner", func(e []Entry) { e[1].UID = 1 }},
		{"another group", func(e []Entry) { e[1].GID = 1 }},
		{"an attribute", func(e []Entry) { e[1].Xattrs = map[string]string{"user.a": "b"} }},
		{"another link", func(e []Entry) { e[3].Link = "b" }},
		{"another folder's mode", func(e []Entry) { e[0].Mode = fs.ModeDir | 0o700 }},
	} {
		changed := entries()
		c.make(changed)
		check.True(t, "Checksum with "+c.what, sumOf(t, content, changed...) != same, "the same", "another",
			check.Often(true, "only content is hashed: a file that became executable is not noticed"))
	}
	check.True(t, "Checksum of other content", sumOf(t, map[string]string{"a": "one", "b": "twp"}, entries()...) != same, "the same", "another",
		check.Often(true, "a file is known by its name, size or time and not by what is in it"))
	attr := func(name, value string) Entry {
		return Entry{Path: "d", Mode: fs.ModeDir | 0o755, Xattrs: map[string]string{name: value}}
	}
	for _, c := range []struct {
		what string
		a, b Entry
		is   string
	}{
		{"two files of one name in two folders", Entry{Path: "d/f", Mode: 0o644}, Entry{Path: "e/f", Mode: 0o644}, "a file's last name is hashed, and not its path"},
		{"owner 1, group 12 and owner 11, group 2", Entry{Path: "f", UID: 1, GID: 12}, Entry{Path: "f", UID: 11, GID: 2}, runsTogether},
		{"a letter of a link and one of its name", Entry{Path: "l", Mode: fs.ModeSymlink, Link: "aa"}, Entry{Path: "la", Mode: fs.ModeSymlink, Link: "a"}, runsTogether},
		{"a letter of an attribute and one of its name", attr("user.a", "bc"), attr("user.ab", "c"), runsTogether},
		{"two attributes and one that holds both", Entry{Path: "d", Mode: fs.ModeDir | 0o755, Xattrs: map[string]string{"user.a": "1", "user.b": "2"}}, attr("user.a", "1 user.b:2"), runsTogether},
		{"two bytes that are no letters, in a name", Entry{Path: "\xff"}, Entry{Path: "\xfe"}, noLetters},
		{"two bytes that are no letters, in a link", Entry{Path: "l", Mode: fs.ModeSymlink, Link: "\xff"}, Entry{Path: "l", Mode: fs.ModeSymlink, Link: "\xfe"}, noLetters},
		{"two bytes that are no letters, in an attribute", attr("user.a", "\xff"), attr("user.a", "\xfe"), noLetters},
	} {
		check.True(t, "Checksums of "+c.what, sumOf(t, nil, c.a) != sumOf(t, nil, c.b), "one for both", "two", check.Often(true, c.is))
	}
	marked := Entry{Path: "a", Mode: 0o644, Xattrs: map[string]string{"user.a": "1", "user.b": "2", "user.c": "3"}}
	for range 10 {
		check.Equal(t, "Checksum of a file with three attributes, again", sumOf(t, content, marked), sumOf(t, content, marked),
			check.Often(true, "a map comes in another order each time"))
	}
	check.True(t, "Checksum of content that moved from one file to the next", sumOf(t, map[string]string{"a": "onet", "b": "wo"}, entries()...) != same, "the same", "another",
		check.Often(true, "the files' contents run together in one hash"))
	renamed := entries()
	renamed[1].Path = "c"
	check.True(t, "Checksum with a file renamed", sumOf(t, map[string]string{"c": "one", "b": "two"}, renamed...) != same, "the same", "another",
		check.Often(true, "names are not hashed"))
	file := sumOf(t, content, Entry{Path: "a", Mode: 0o644})
	check.True(t, "Checksum of a file and of a folder that holds it", file != sumOf(t, content, Entry{Path: ".", Mode: fs.ModeDir | 0o755}, Entry{Path: "a", Mode: 0o644}), "the same", "another",
		check.Often(true, "the entry of the folder itself is skipped"))
}

// endless is a file larger than any memory, cut by whoever counts.
type endless struct{ left, largest int }

func (e *endless) Read(p []byte) (int, error) {
	e.largest = max(e.largest, len(p))
	if e.left -= len(p); e.left < 0 {
		return 0, io.EOF
	}
	return len(p), nil
}
func (e *endless) Close() error { return nil }

func TestChecksum_ReadsInPiecesAndReportsErrors(t *testing.T) {
	exercise.Need(t, "3.8")
	file := Entry{Path: "big", Mode: 0o644}
	big := &endless{left: 1 << 26}
	_, err := Checksum(each([]Entry{file}, nil), func(Entry) (io.ReadCloser, error) { return big, nil })
	check.NoError(t, "Checksum of a file of 64 MiB", err)
	check.True(t, "the largest read", big.largest <= 4<<20, "more than 4 MiB", "at most that",
		check.Often(true, "the whole file is read into memory"))
	text := strings.Repeat("0123456789", 20_000)
	sum := func(wrap func(io.Reader) io.Reader) digest.Digest {
		sum, err := Checksum(each([]Entry{file}, nil), func(Entry) (io.ReadCloser, error) { return io.NopCloser(wrap(strings.NewReader(text))), nil })
		check.NoError(t, "Checksum of a file of 200 kB", err)
		return sum
	}
	whole := sum(func(r io.Reader) io.Reader { return r })
	for _, wrap := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.OneByteReader} {
		check.Equal(t, "Checksum of a file of which a read brings less than was asked for", whole, sum(wrap),
			check.Often(true, "the whole buffer is hashed, and not the n bytes that were read"))
	}
	check.Equal(t, "Checksum of a file whose last bytes come with io.EOF", whole, sum(iotest.DataErrReader),
		check.Often(true, "what a read brings together with io.EOF is dropped"))
	broken := errors.New("broken")
	reworded := func(err error) check.Cause {
		return check.Often(err != nil && strings.Contains(err.Error(), "broken"), "%v makes a new error with the old one's words; %w keeps it")
	}
	_, err = Checksum(each([]Entry{file}, broken), func(Entry) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil })
	check.ErrorIs(t, "Checksum when the walk ends with an error", err, broken, reworded(err),
		check.Often(err == nil, "the second value of the iterator is ignored"))
	_, err = Checksum(each([]Entry{file}, nil), func(Entry) (io.ReadCloser, error) { return nil, broken })
	check.ErrorIs(t, "Checksum when a file cannot be opened", err, broken, reworded(err))
	_, err = Checksum(each([]Entry{file}, nil), func(Entry) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{broken})), nil
	})
	check.ErrorIs(t, "Checksum when a read fails", err, broken, reworded(err),
		check.Often(err == nil, "the error of io.Copy is dropped: half a file has a checksum"))
	opened := false
	_, err = Checksum(each([]Entry{{Path: "l", Mode: fs.ModeSymlink | 0o777, Link: "/etc/shadow"}}, nil), func(Entry) (io.ReadCloser, error) {
		opened = true
		return nil, broken
	})
	check.True(t, "Checksum of a link", !opened && err == nil, "it was opened", "its own words are hashed",
		check.Often(true, "a link is followed"))
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
