package sandbox

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	os.Exit(Main(m, Options{Dir: "internal/sandbox", Cgroup: true}))
}

func TestSandbox_FileSystemIsClosed(t *testing.T) {
	Need(t)
	wd, err := os.Getwd()
	require.NoError(t, err)
	for _, dir := range []string{"/", "/etc", "/usr", wd} {
		err := os.WriteFile(filepath.Join(dir, "coracle-was-here"), nil, 0o644)
		assert.ErrorIs(t, err, unix.EROFS, dir)
	}
	assert.NoError(t, os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o644))
	err = unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") // a reader's wrong remount
	if CurrentMode() != Root {
		// Root in the sandbox may take the flag back from its own copy of a mount; what
		// it cannot do is reach the host's.
		t.Log("remount:", err)
	}
}

func TestSandbox_MountsStayInside(t *testing.T) {
	Need(t)
	data, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		assert.NotContains(t, line, " shared:", "a mount that would propagate")
	}
}

func TestSandbox_ProcessesAreItsOwn(t *testing.T) {
	Need(t)
	assert.NotEqual(t, 1, os.Getpid())
	assert.Equal(t, 1, os.Getppid())
	name, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, "sandbox", name)
	assert.Equal(t, 0, os.Getuid())
}

func TestSandbox_LoopbackIsUp(t *testing.T) {
	Need(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c.Close()
	links, err := net.Interfaces()
	require.NoError(t, err)
	for _, link := range links {
		assert.Contains(t, []string{"lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0", "teql0", "ifb0", "ifb1"}, link.Name,
			"a link of the host")
	}
}

func TestSandbox_DangerousCapabilitiesAreGone(t *testing.T) {
	Need(t)
	for _, c := range []uintptr{unix.CAP_SYS_BOOT, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME} {
		v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		require.NoError(t, err)
		assert.Zero(t, v, "capability %d", c)
	}
	v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
	require.NoError(t, err)
	assert.Equal(t, 1, v)
}

func TestSandbox_RangeHasManyIDs(t *testing.T) {
	Need(t)
	file := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	err := os.Chown(file, 1000, 1000)
	if CurrentMode() == Single {
		assert.ErrorIs(t, err, unix.EINVAL, "only id 0 exists")
	} else {
		assert.NoError(t, err)
	}
}

// The tests below execute this binary again as a stranger would: from outside.

func TestSandbox_ExitStatusAndOrphans(t *testing.T) {
	Need(t)
	if os.Getenv("SANDBOX_TEST") == "exit" {
		// An orphan that would live for a minute, holding no pipe of ours.
		require.NoError(t, exec.Command("sh", "-c", "sleep 60 >/dev/null 2>&1 </dev/null & echo orphan").Run())
		os.Exit(7)
	}
	start := time.Now()
	out, err := again(t, "TestSandbox_ExitStatusAndOrphans", "exit").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	assert.Equal(t, 7, exit.ExitCode(), "%s", out)
	assert.Less(t, time.Since(start), 30*time.Second)
}

func TestSandbox_KillOfTheOuterProcessEndsEverything(t *testing.T) {
	Need(t)
	if os.Getenv("SANDBOX_TEST") == "hang" {
		fmt.Fprintln(os.NewFile(1, "stdout"), "inside")
		select {}
	}
	cmd := again(t, "TestSandbox_KillOfTheOuterProcessEndsEverything", "hang")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	w.Close()
	buf := make([]byte, 6)
	_, err = r.Read(buf) // the tests inside hold the other end now
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	cmd.Wait()
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	for err == nil { // until the last holder of the pipe is gone
		_, err = r.Read(buf)
	}
	assert.ErrorContains(t, err, "EOF")
}

func again(t *testing.T, test, role string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), stageVar+"=", modeVar+"=", "SANDBOX_TEST="+role)
	return cmd
}
