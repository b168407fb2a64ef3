package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// whereSaw is what a program sees of itself after a raw child became it.
type whereSaw struct {
	NS   map[Type]string // "uts:[4026531838]"
	UID  int
	Caps uint64 // effective
}

var whereAmI = reporting("whereami", func([]string) (any, error) {
	return whereSaw{nsLinks("self"), os.Getuid(), ownSets().Eff}, nil
})

// nsLinks reads the namespaces of a process, each as text.
func nsLinks(pid string) map[Type]string {
	all := map[Type]string{}
	for _, n := range nsFlags {
		if link, err := os.Readlink("/proc/" + pid + "/ns/" + string(n.t)); err == nil {
			all[n.t] = link
		}
	}
	return all
}

// inhabit starts a process that does nothing in new namespaces, until stop. In a
// new user namespace id 0 is the caller's hostID.
func inhabit(flags uintptr, hostID int) (pid int, stop func(), err error) {
	cmd := exec.Command("cat")
	attr := &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: hostID, Size: 1}}
		attr.UidMappings, attr.GidMappings = one, one
	}
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("start cat in new namespaces: %w", err)
	}
	return cmd.Process.Pid, func() { stdin.Close(); cmd.Wait() }, nil
}

// inhabitant is inhabit for a test. The thread that starts it must outlive it.
func inhabitant(t *testing.T, flags uintptr, hostID int) string {
	t.Helper()
	runtime.LockOSThread()
	pid, stop, err := inhabit(flags, hostID)
	check.NoError(t, "start a process in namespaces of its own", err)
	t.Cleanup(func() { stop(); runtime.UnlockOSThread() })
	return fmt.Sprint(pid)
}

func nsAt(pid string, kinds ...Type) (list []Namespace) {
	for _, k := range kinds {
		list = append(list, Namespace{k, "/proc/" + pid + "/ns/" + string(k)})
	}
	return list
}

// A joined is what came of joining: the steps as text, and what the program saw.
type joined struct {
	Steps []string
	Where whereSaw
}

// at returns the place of the first step that begins so, -1 for none.
func (j joined) at(step string) int {
	return slices.IndexFunc(j.Steps, func(s string) bool { return strings.HasPrefix(s, step) })
}

func (j joined) String() string { return strings.Join(j.Steps, ", then ") }

var errMoved = errors.New("the thread that called Join is in other namespaces than before")

// joinAll lets a raw child take the steps of Join and become the program whereami.
func joinAll(list []Namespace) (j joined, err error) {
	runtime.LockOSThread() // the raw child dies with the thread that made it
	before := nsLinks("thread-self")
	steps, err := Join(list)
	if !maps.Equal(before, nsLinks("thread-self")) {
		return j, errMoved // and the thread stays locked: it is of no more use
	}
	defer runtime.UnlockOSThread()
	if err != nil {
		return j, err
	}
	defer func() {
		for _, s := range steps {
			s.File.Close()
		}
	}()
	for _, s := range steps {
		if s.Do == SetNS && s.File == nil {
			return j, fmt.Errorf("a step to join %s has no File", s.Type)
		}
		j.Steps = append(j.Steps, s.String())
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return j, err
	}
	defer exe.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return j, err
	}
	defer r.Close()
	child, err := takeSteps(steps, program{exe, []string{"test:" + whereAmI}, os.Environ(), []*os.File{nil, w, w}})
	w.Close()
	if err != nil {
		return j, err
	}
	defer child.Wait()
	out, err := io.ReadAll(r)
	if err != nil {
		return j, err
	}
	var said report[whereSaw]
	if err := json.Unmarshal(out, &said); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return j, fmt.Errorf("the program (in Go) died: %s", first)
	}
	j.Where = said.Saw
	return j, nil
}

const (
	ownUser   = "the caller's own user namespace is joined, which setns refuses"
	noFork    = "there is no fork: joining a PID namespace moves only later children"
	earlyFork = "the fork comes before the PID namespace is joined"
	userLast  = "the user namespace comes last for a caller who gets his rights only there"
	userFirst = "the user namespace comes first, and the right to the others is given up with it"
	noRoot    = "nobody becomes root after the user namespace, and execve drops every capability"
	leaks     = "what was opened before the one that failed stays open"
	itself    = "Join enters the namespaces itself, and not all can be entered from Go"
	wrongKind = "any file that opens is taken for a namespace of that type"
	endless   = "an entry that is left out is never passed, and Join looks at it for ever"
	closed    = "the files are closed when Join returns, before any step is taken"
)

func joinIn(t *testing.T, list []Namespace, causes func(joined, error) []check.Cause) joined {
	t.Helper()
	var j joined
	j, err := check.Within(t, "join and execute a program", "the program's end", func() (joined, error) {
		var err error
		j, err = joinAll(list)
		return j, err
	})
	check.NoError(t, fmt.Sprintf("Join and take its steps (%v)", j), err,
		append(causes(j, err), check.Often(errors.Is(err, errMoved), itself), check.Often(errors.Is(err, unix.EBADF), closed))...)
	return j
}

func TestJoin_Enters(t *testing.T) {
	exercise.Need(t, "1.7")
	sandbox.Need(t)
	steps, err := check.Within(t, "Join(uts, pid) without paths: both are new", "its return", func() ([]Step, error) {
		return Join([]Namespace{{Type: UTS}, {Type: PID}})
	}, check.Often(true, endless))
	check.NoError(t, "Join(uts, pid) without paths: both are new", err)
	check.Equal(t, "the number of its steps", 0, len(steps))
	kinds := []Type{UserNS, PID, UTS, IPC, Net, Cgroup, Mnt}
	pid := inhabitant(t, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP|unix.CLONE_NEWNS, 0)
	its, open := nsLinks(pid), openNamespaces()
	j := joinIn(t, append(nsAt(pid, kinds...), Namespace{Type: Time}), func(j joined, err error) []check.Cause {
		return []check.Cause{check.Often(errors.Is(err, unix.EINVAL) && j.at("join the user") >= 0, ownUser)}
	})
	for _, k := range kinds {
		check.Equal(t, fmt.Sprintf("the %s namespace of the program", k), its[k], j.Where.NS[k])
	}
	check.True(t, "Join the PID namespace that the caller is in", j.at("fork") < 0, j.String(), "no fork")
	check.True(t, "Join the user namespace that the caller is in", j.at("become") < 0, j.String(), "nobody becomes root")
	check.Equal(t, "namespaces that are open when the files of all steps are closed", open, openNamespaces())
}

func forkCauses(j joined) []check.Cause {
	return []check.Cause{
		check.Often(len(j.Steps) > 0 && j.at("fork") < 0, noFork),
		check.Often(j.at("fork") < j.at("join the pid"), earlyFork),
	}
}

func TestJoin_ForksForPID(t *testing.T) {
	exercise.Need(t, "1.7")
	sandbox.Need(t)
	pid := inhabitant(t, unix.CLONE_NEWPID|unix.CLONE_NEWUTS, 0)
	its := nsLinks(pid)
	for _, list := range [][]Namespace{nsAt(pid, PID, UTS), nsAt(pid, UTS, PID), nsAt(pid, PID)} {
		// A program between two PID namespaces cannot make threads (clone(2), EINVAL): in
		// Go it dies.
		j := joinIn(t, list, func(j joined, _ error) []check.Cause { return forkCauses(j) })
		check.Equal(t, fmt.Sprintf("%v: its PID namespace", j), its[PID], j.Where.NS[PID], forkCauses(j)...)
	}
}

// A caller without CAP_SYS_ADMIN: what an ordinary user is, also in single mode,
// where there is no other user id.
var joinPlain = reporting("join-plain", func([]string) (any, error) {
	if err := dropAdmin(); err != nil {
		return nil, err
	}
	pid, stop, err := inhabit(unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWUTS|unix.CLONE_NEWNET|unix.CLONE_NEWNS, os.Geteuid())
	if err != nil {
		return nil, err
	}
	defer stop()
	j, err := joinAll(nsAt(fmt.Sprint(pid), Net, Mnt, UserNS, PID, UTS))
	return plainSaw{j, nsLinks(fmt.Sprint(pid))}, err
})

type plainSaw struct {
	Joined joined
	Its    map[Type]string
}

func dropAdmin() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	data[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
	return unix.Capset(&hdr, &data[0])
}

func TestJoin_UserFirstWithoutAdmin(t *testing.T) {
	exercise.Need(t, "1.7")
	sandbox.Need(t)
	saw, err := reportAs[plainSaw](t, joinPlain, &syscall.SysProcAttr{})
	j := saw.Joined
	user := j.at("join the user")
	check.NoError(t, fmt.Sprintf("without CAP_SYS_ADMIN: Join and take its steps (%v)", j), err,
		append([]check.Cause{check.Often(errors.Is(err, unix.EPERM) && user > 0, userLast)}, forkCauses(j)...)...)
	for _, k := range []Type{UserNS, Net, Mnt, UTS, PID} {
		check.Equal(t, fmt.Sprintf("%v: its %s namespace", j, k), saw.Its[k], j.Where.NS[k])
	}
	check.Equal(t, "its user id", 0, j.Where.UID)
	check.True(t, fmt.Sprintf("%v: its effective capabilities", j), j.Where.Caps != 0, "none", "those of root there")
}

func TestJoin_UserLastWithAdmin(t *testing.T) {
	exercise.Need(t, "1.7")
	sandbox.Need(t)
	// As where a container of a pod has a user namespace and shares the pod's network,
	// which belongs to the machine. Its root is an id that the caller does not bear; in
	// single mode there is no other, so that there only the steps tell.
	root := 1
	if sandbox.CurrentMode() == sandbox.Single {
		root = 0
	}
	pod := inhabitant(t, unix.CLONE_NEWNET, 0)
	pid := inhabitant(t, unix.CLONE_NEWUSER|unix.CLONE_NEWUTS, root)
	its, net := nsLinks(pid), nsLinks(pod)[Net]
	j := joinIn(t, append(nsAt(pid, UserNS, UTS), nsAt(pod, Net)...), func(j joined, err error) []check.Cause {
		user := j.at("join the user")
		return []check.Cause{check.Often(errors.Is(err, unix.EPERM) && user >= 0 && user < j.at("join the net"), userFirst)}
	})
	check.Equal(t, "its user namespace", its[UserNS], j.Where.NS[UserNS])
	check.Equal(t, "its UTS namespace", its[UTS], j.Where.NS[UTS])
	check.Equal(t, "its network namespace", net, j.Where.NS[Net])
	rootless := j.at("become") < j.at("join the user")
	check.Equal(t, fmt.Sprintf("%v: its user id", j), 0, j.Where.UID, check.Often(rootless, noRoot))
	check.True(t, fmt.Sprintf("the steps %v", j), !rootless, "no BecomeRoot after the user namespace", "one",
		check.Often(rootless, noRoot))
	check.True(t, fmt.Sprintf("%v: its effective capabilities", j), j.Where.Caps != 0, "none", "those of root there")
}

func TestJoin_Errors(t *testing.T) {
	exercise.Need(t, "1.7")
	sandbox.Need(t)
	pid := inhabitant(t, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC, 0)
	for _, c := range []struct {
		bad  Namespace
		want []string
	}{
		{Namespace{Net, "/proc/" + pid + "/ns/no-such"}, []string{"net", "/proc/" + pid + "/ns/no-such"}},
		{Namespace{Net, "/proc/" + pid + "/status"}, []string{"net", "/proc/" + pid + "/status"}},
		{Namespace{Net, "/proc/" + pid + "/ns/uts"}, []string{"net", "/proc/" + pid + "/ns/uts", "uts"}},
	} {
		before := openNamespaces()
		_, err := Join(append(nsAt(pid, IPC, UTS), c.bad))
		check.ErrorHas(t, "Join(ipc, uts, net: "+c.bad.Path+")", err, c.want, check.Often(err == nil, wrongKind))
		check.Equal(t, "namespaces that are open after an error", before, openNamespaces(),
			check.Often(openNamespaces() > before, leaks))
	}
}

// openNamespaces counts this process's descriptors of namespaces.
func openNamespaces() (n int) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if link, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.Contains(link, ":[") && !strings.HasPrefix(link, "pipe:") &&
			!strings.HasPrefix(link, "socket:") && !strings.HasPrefix(link, "anon_inode:") {
			n++
		}
	}
	return n
}
