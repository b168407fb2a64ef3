package namespaces

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

var rangeMap = []IDMap{{0, 1001, 1}, {1, 100000, 65535}}

func TestIDMap_Format(t *testing.T) {
	exercise.Need(t, "1.6")
	got, err := FormatIDMap(rangeMap)
	check.NoError(t, "FormatIDMap(0→1001, 1→100000 and 65534 more)", err)
	check.Equal(t, "the text of 0→1001, 1→100000 and 65534 more", "0 1001 1\n1 100000 65535\n", got,
		check.Often(strings.HasPrefix(got, "1001 0 "), "inside and outside are swapped"))
	many := make([]IDMap, 341)
	for i := range many {
		many[i] = IDMap{2 * i, 2 * i, 1}
	}
	for what, maps := range map[string][]IDMap{
		"no ranges":                     nil,
		"341 ranges":                    many,
		"ranges that overlap inside":    {{0, 1001, 2}, {1, 100000, 10}},
		"ranges that overlap outside":   {{0, 100004, 1}, {1, 100000, 10}},
		"a range of size 0":             {{0, 1001, 0}},
		"a range up to the id 2³²-1":    {{0, 0, 1 << 32}},
		"a range outside up to 2³²-1":   {{0, 1<<32 - 1, 1}},
		"a range inside from -1 onward": {{-1, 1001, 1}},
	} {
		_, err := FormatIDMap(maps)
		check.True(t, "FormatIDMap of "+what, err != nil, "no error", "an error: the kernel would say EINVAL",
			check.Often(strings.Contains(what, "overlap"), "the ranges are not compared with each other"),
			check.Often(strings.Contains(what, "2³²"), "the last id is taken for one like any other"))
	}
	_, err = FormatIDMap(many[:340])
	check.NoError(t, "FormatIDMap of 340 ranges", err)
	_, err = FormatIDMap([]IDMap{{0, 0, 1<<32 - 1}})
	check.NoError(t, "FormatIDMap of all ids, 0 to 2³²-2", err, check.Often(true, "2³²-2 is taken for the id that means none, which is the one after it"))
	rapid.Check(t, func(rt *rapid.T) {
		maps := drawMap(rt)
		text, err := FormatIDMap(maps)
		check.NoError(t, fmt.Sprintf("FormatIDMap(%v)", maps), err)
		for i, line := range slices.Collect(strings.Lines(text)) {
			var m IDMap
			fmt.Sscanf(line, "%d %d %d\n", &m.Container, &m.Host, &m.Size)
			check.Equal(t, fmt.Sprintf("line %d of the text of %v", i+1, maps), maps[i], m)
		}
	})
}

// drawMap makes ranges that do not overlap, in any order.
func drawMap(rt *rapid.T) []IDMap {
	n := rapid.IntRange(1, 8).Draw(rt, "ranges")
	var maps []IDMap
	in, out := 0, 0
	for range n {
		in += rapid.IntRange(0, 5).Draw(rt, "gap inside")
		out += rapid.IntRange(0, 5).Draw(rt, "gap outside")
		size := rapid.IntRange(1, 5).Draw(rt, "size")
		maps = append(maps, IDMap{in, out, size})
		in, out = in+size, out+size
	}
	return rapid.Permutation(maps).Draw(rt, "order")
}

func TestIDMap_HostID(t *testing.T) {
	exercise.Need(t, "1.6")
	type answer struct {
		id int
		ok bool
	}
	for inside, want := range map[int]answer{0: {1001, true}, 1: {100000, true}, 33: {100032, true}, 65535: {165534, true}} {
		id, ok := HostID(rangeMap, inside)
		check.Equal(t, fmt.Sprintf("HostID(0→1001, 1→100000 …, %d)", inside), want, answer{id, ok},
			check.Often(inside == 1 && id == 1002, "a range of size n is taken to hold one id more"),
			check.Often(id == inside-1 || id == 0 && inside == 1001, "inside and outside are swapped"))
	}
	for _, unmapped := range []int{-1, 65536, 100000} {
		id, ok := HostID(rangeMap, unmapped)
		check.True(t, fmt.Sprintf("HostID(0→1001, 1→100000 …, %d)", unmapped), !ok, fmt.Sprint(id, ", true"), "false: it is not mapped",
			check.Often(unmapped == 65536, "a range of size n is taken to hold one id more"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		maps := drawMap(rt)
		inside := rapid.IntRange(0, 40).Draw(rt, "inside")
		want := answer{}
		for _, m := range maps {
			for i := range m.Size {
				if m.Container+i == inside {
					want = answer{m.Host + i, true}
				}
			}
		}
		id, ok := HostID(maps, inside)
		if !ok {
			id = 0
		}
		check.Equal(t, fmt.Sprintf("HostID(%v, %d)", maps, inside), want, answer{id, ok})
	})
}

func TestIDMap_Plan(t *testing.T) {
	exercise.Need(t, "1.6")
	own, subs := []IDMap{{0, 1001, 1}}, []IDMap{{1, 100000, 65535}}
	for _, c := range []struct {
		who        string
		uid, gid   int
		uids, gids []IDMap
		want       []string // in this order, save where "deny" stands: anywhere before gid_map
	}{
		{"root, a range", 0, 0, rangeMap, rangeMap, []string{"uid_map: 0 1001 1,1 100000 65535,", "gid_map: 0 1001 1,1 100000 65535,"}},
		{"root, one id", 0, 0, own, own, []string{"uid_map: 0 1001 1,", "gid_map: 0 1001 1,"}},
		{"a user, himself", 1001, 1001, own, own, []string{"uid_map: 0 1001 1,", "setgroups: deny", "gid_map: 0 1001 1,"}},
		{"a user, himself by his own number", 1001, 100, []IDMap{{1001, 1001, 1}}, []IDMap{{100, 100, 1}},
			[]string{"uid_map: 1001 1001 1,", "setgroups: deny", "gid_map: 100 100 1,"}},
		{"a user, a range", 1001, 1001, rangeMap, rangeMap,
			[]string{"newuidmap 4711 0 1001 1 1 100000 65535", "newgidmap 4711 0 1001 1 1 100000 65535"}},
		{"a user, an id that is not his", 1001, 1001, []IDMap{{0, 100000, 1}}, []IDMap{{0, 100000, 1}},
			[]string{"newuidmap 4711 0 100000 1", "newgidmap 4711 0 100000 1"}},
		{"a user, a range of uids and one gid", 1001, 1001, subs, own,
			[]string{"newuidmap 4711 1 100000 65535", "setgroups: deny", "gid_map: 0 1001 1,"}},
		{"a user, one gid that is his uid", 1001, 100, own, own,
			[]string{"uid_map: 0 1001 1,", "newgidmap 4711 0 1001 1"}},
	} {
		did := "PlanIDMaps of " + c.who
		steps, err := PlanIDMaps(4711, c.uid, c.gid, c.uids, c.gids)
		check.NoError(t, did, err)
		got := stepsText(steps)
		deny, wanted := slices.Index(got, "setgroups: deny"), slices.Contains(c.want, "setgroups: deny")
		gids := slices.IndexFunc(got, isGIDMap)
		direct := strings.Contains(strings.Join(got, " "), "uid_map") && !strings.Contains(strings.Join(c.want, " "), "uid_map")
		check.Equal(t, did, c.want, got,
			check.Often(wanted && gids >= 0 && (deny < 0 || deny > gids), "setgroups is not denied before an ordinary user writes gid_map"),
			check.Often(deny >= 0 && c.uid == 0, "setgroups is denied also by root, who may leave it allowed"),
			check.Often(deny >= 0 && gids < 0 && !wanted, "setgroups is denied also before newgidmap, which may leave it allowed"),
			check.Often(tools(got) > tools(c.want), "a tool is run where the writer may write the map himself: each file by its own id"),
			check.Often(direct && len(c.uids) == 1, "one id is written directly, whosever it is"))
	}
	_, err := PlanIDMaps(4711, 1001, 1001, own, append(own, own...))
	check.ErrorHas(t, "PlanIDMaps of a gid map that overlaps", err, []string{"gid map"})
}

func tools(steps []string) int { return strings.Count(strings.Join(steps, "\n"), "idmap 4711") }

func isGIDMap(step string) bool { return strings.HasPrefix(step, "gid_map") }

// stepsText shortens steps to one line each; a denial, which the kernel takes
// with a newline or without, is put right before gid_map if it comes anywhere
// before it.
func stepsText(steps []IDStep) []string {
	var text []string
	for _, s := range steps {
		switch {
		case s.Tool != nil:
			text = append(text, strings.Join(s.Tool, " "))
		case s.File == "/proc/4711/setgroups":
			text = append(text, "setgroups: "+strings.TrimSpace(s.Text))
		default:
			text = append(text, strings.TrimPrefix(s.File, "/proc/4711/")+": "+strings.ReplaceAll(s.Text, "\n", ","))
		}
	}
	deny, gids := slices.Index(text, "setgroups: deny"), slices.IndexFunc(text, isGIDMap)
	if deny >= 0 && deny < gids {
		text = slices.Insert(slices.Delete(text, deny, deny+1), gids-1, "setgroups: deny")
	}
	return text
}

func TestMapIDs_Kernel(t *testing.T) {
	exercise.Need(t, "1.6")
	sandbox.Need(t)
	own := []IDMap{{0, 1000, 1}}
	saw, err := mapIn(t, asUser(), own, own, os.Getenv("PATH"))
	check.NoError(t, "MapIDs(0→1000) by the user 1000", err,
		check.Often(err != nil && strings.Contains(err.Error(), "gid_map"), "setgroups is not denied before an ordinary user writes gid_map"))
	check.Equal(t, "who it is inside", mapped{UIDMap: "0 1000 1", GIDMap: "0 1000 1", Setgroups: "deny"}, saw)
	// No machine counts that far.
	err = MapIDs(1<<30, []IDMap{{0, os.Geteuid(), 1}}, []IDMap{{0, os.Getegid(), 1}})
	check.ErrorHas(t, "MapIDs of a process that does not exist", err, []string{"/proc/1073741824/uid_map"},
		check.Often(err == nil, "the error of a write is dropped, and the process stays nobody"))
	two, byLine := []IDMap{{0, 0, 1}, {1, 1000, 10}}, "the file is written line by line, and the kernel takes one write"
	saw, err = mapIn(t, &syscall.SysProcAttr{}, two, two, os.Getenv("PATH"))
	if sandbox.CurrentMode() == sandbox.Single {
		check.Equal(t, "uid_map after MapIDs(0→0, 1→1000 and 9 more), where 1000 is nobody", "", saw.UIDMap, check.Often(saw.UIDMap != "", byLine))
		check.ErrorIs(t, "MapIDs of an id that is nobody", err, unix.EPERM)
		return
	}
	check.NoError(t, "MapIDs(0→0, 1→1000 and 9 more) by root", err,
		check.Often(errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL), byLine))
	check.Equal(t, "who it is inside", mapped{UIDMap: "0 0 1 1 1000 10", GIDMap: "0 0 1 1 1000 10", Setgroups: "allow"}, saw,
		check.Often(saw.Setgroups == "deny", "setgroups is denied also by root, who may leave it allowed"))
}

func TestMapIDs_Tools(t *testing.T) {
	exercise.Need(t, "1.6")
	sandbox.Need(t)
	many := []IDMap{{0, 1000, 1}, {1, 100000, 10}}
	dir := fakeTools(t, "", "")
	_, err := mapIn(t, asUser(), many, many, dir)
	check.NoError(t, "MapIDs of a range, with tools that agree", err)
	log, _ := os.ReadFile(dir + "/log")
	var pid, pid2 int
	fmt.Sscanf(string(log), "newuidmap %d 0 1000 1 1 100000 10\nnewgidmap %d 0 1000 1 1 100000 10\n", &pid, &pid2)
	check.True(t, "the tools that MapIDs ran", pid > 0 && pid == pid2, string(log), "newuidmap, then newgidmap, each PID 0 1000 1 1 100000 10")

	_, err = mapIn(t, asUser(), many, many, fakeTools(t, "", "echo 'newgidmap: range [1-11)' >&2; echo 'not allowed' >&2; exit 1"))
	check.ErrorHas(t, "MapIDs with a newgidmap that refuses", err, []string{"newgidmap", "range [1-11)", "not allowed"},
		check.Often(err != nil && !strings.Contains(err.Error(), "range"), "the tool's exit status is passed on, but not what it said"))
	check.True(t, "the error of newgidmap", !strings.Contains(err.Error(), "\n"), err.Error(), "one line",
		check.Often(true, "what the tool says on two lines stays on two lines"))

	talk := "i=0; while [ $i -lt 3000 ]; do echo 'newuidmap: one more line of complaint' >&2; i=$((i+1)); done; exit 1"
	_, err = mapIn(t, asUser(), many, many, fakeTools(t, talk, ""))
	check.ErrorHas(t, "MapIDs with a newuidmap that talks much", err, []string{"newuidmap", "complaint"},
		check.Often(errors.Is(err, context.DeadlineExceeded), "the tool's words are read after it ended, and a full pipe keeps it from ending"))

	_, err = mapIn(t, asUser(), many, many, t.TempDir())
	check.ErrorHas(t, "MapIDs where newuidmap is not installed", err, []string{"newuidmap", "uidmap (Debian"})
	t.Run("set-uid", realTools)
}
