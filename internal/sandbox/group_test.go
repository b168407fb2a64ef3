package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/hostgroup"
)

// Executed by the test below, this process makes a group and waits to be killed.
func init() {
	if os.Args[0] != "test:group" {
		return
	}
	g, err := newGroup(Root)
	if err != nil {
		fmt.Println("none:", err)
		os.Exit(0)
	}
	fmt.Println(strings.Join(g.Dirs, " "))
	select {}
}

func TestGroup_CollectedAfterKill9(t *testing.T) {
	Need(t, OwnGroup)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "test:group"
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start", cmd.Start())
	said, err := check.Within(t, "read the group's folders", "a line", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })
	check.NoError(t, "read the group's folders", err)
	check.True(t, "the group", !strings.HasPrefix(said, "none:"), said, "its folders")
	dirs := strings.Fields(said)
	for _, dir := range dirs {
		_, err := hostgroup.CollectIn(filepath.Dir(dir))
		check.NoError(t, "CollectIn while its owner lives", err)
		_, err = os.Stat(dir)
		check.NoError(t, "the group while its owner lives", err)
	}
	check.NoError(t, "kill -9", cmd.Process.Kill())
	cmd.Wait()
	for _, dir := range dirs {
		removed, err := hostgroup.CollectIn(filepath.Dir(dir))
		check.NoError(t, "CollectIn", err)
		_, err = os.Stat(dir)
		check.ErrorIs(t, fmt.Sprintf("the group after CollectIn, which removed %v", removed), err, os.ErrNotExist)
	}
}
