package namespaces

import (
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestCurrent_NamesEveryNamespace(t *testing.T) {
	exercise.Need(t, "1.0")
	got, err := Current(0)
	check.NoError(t, "Current(0)", err,
		check.Often(errors.Is(err, io.ErrUnexpectedEOF) || err != nil && strings.Contains(err.Error(), "unexpected EOF"),
			"Sscanf's %s reads on to the next space, past the colon"),
		check.Often(err != nil && strings.Contains(err.Error(), "pid_for_children"),
			"each link's text is taken to begin with its name, and pid_for_children's begins with pid"))
	links, err := os.ReadDir("/proc/self/ns")
	check.NoError(t, "list /proc/self/ns", err)
	var want []string
	for _, l := range links {
		want = append(want, l.Name())
	}
	_, children := got["pid_for_children"]
	check.Equal(t, "the kinds in Current(0)", want, slices.Sorted(maps.Keys(got)),
		check.Often(!children && len(got) > 0, "the key is taken from the link's text, so pid_for_children overwrites pid"))
	var st syscall.Stat_t
	check.NoError(t, "stat /proc/self/ns/net", syscall.Stat("/proc/self/ns/net", &st))
	check.Equal(t, `Current(0)["net"]`, st.Ino, got["net"])
}

func TestCurrent_SeesAChildsNamespaces(t *testing.T) {
	exercise.Need(t, "1.0")
	sandbox.Need(t)
	child := exec.Command("cat") // it waits for input that ends with the test
	stdin, err := child.StdinPipe()
	check.NoError(t, "make a pipe", err)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
	check.NoError(t, "start a child in a UTS namespace of its own", child.Start())
	defer child.Wait()
	defer stdin.Close()
	mine, err := Current(0)
	check.NoError(t, "Current(0)", err)
	its, err := Current(child.Process.Pid)
	check.NoError(t, "Current(child)", err)
	check.True(t, "the UTS namespace of a child with a new one", mine["uts"] != its["uts"], "the same number as mine", "another",
		check.Often(mine["uts"] == its["uts"], "/proc/self is read whatever pid is"))
	check.Equal(t, "the network namespace of a child that shares it", mine["net"], its["net"])
}

func TestCurrent_NoSuchProcess(t *testing.T) {
	exercise.Need(t, "1.0")
	gone := exec.Command("true")
	check.NoError(t, "run true", gone.Run())
	_, err := Current(gone.Process.Pid)
	check.ErrorIs(t, "Current of a process that ended", err, os.ErrNotExist,
		check.Often(err == nil, "/proc/self is read whatever pid is"))
	check.True(t, "its error", strings.Contains(err.Error(), "/proc/"), err.Error(), "the path in it")
}
