package namespaces

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// entered runs a shell command by Enter and returns what it wrote and its status.
func entered(t *testing.T, list []Namespace, command string) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	defer r.Close()
	spec := &Spec{Args: []string{"sh", "-c", command}, Env: []string{"PATH=/usr/bin:/bin"}, Namespaces: list}
	p, err := Enter(spec, Stdio{Out: w, Err: w})
	w.Close()
	check.NoError(t, "Enter", err)
	out, err := check.Within(t, "read what the program writes", "its end", func() ([]byte, error) { return io.ReadAll(r) })
	check.NoError(t, "read what the program writes", err)
	status, err := p.Wait()
	check.NoError(t, "wait for the program", err)
	return strings.TrimSpace(string(out)), status
}

func TestEnter(t *testing.T) {
	exercise.Need(t, "1.7", "1.1", "1.2")
	sandbox.Need(t)
	runtime.LockOSThread() // the program dies with the thread that starts it
	defer runtime.UnlockOSThread()
	pid := inhabitant(t, unix.CLONE_NEWPID|unix.CLONE_NEWUTS|unix.CLONE_NEWUSER, 0)
	its := nsLinks(pid)
	out, status := entered(t, nsAt(pid, UserNS, PID, UTS), "readlink /proc/self/ns/user /proc/self/ns/pid /proc/self/ns/uts; id -u; exit 7")
	check.Equal(t, "what a program entered by Enter sees", strings.Join([]string{its[UserNS], its[PID], its[UTS], "0"}, "\n"), out)
	check.Equal(t, "its exit status", 7, status)
	_, status = entered(t, nsAt(pid, UserNS, PID), "kill -KILL $$")
	check.Equal(t, "the status of one that a signal ended", 137, status)

	out, _ = entered(t, append(nsAt(pid, UTS), Namespace{Type: PID}, Namespace{Type: IPC}), "echo $$; readlink /proc/self/ns/uts")
	check.Equal(t, "a program in one joined and two new namespaces", "1\n"+its[UTS], out)

	_, err := Enter(&Spec{Args: []string{"no-such"}, Namespaces: nsAt(pid, UTS)}, Stdio{})
	check.ErrorHas(t, "Enter a program that there is not", err, []string{"no-such"})
	_, err = Enter(&Spec{Args: []string{"sh"}, Namespaces: append(nsAt(pid, UTS), Namespace{Type: UserNS})}, Stdio{})
	check.ErrorHas(t, "Enter with a new user namespace", err, []string{"user namespace"})
}

func TestTakeSteps_Errors(t *testing.T) {
	sandbox.Need(t)
	exe, err := os.Open("/proc/self/status")
	check.NoError(t, "open a file that is no program", err)
	defer exe.Close()
	prog := program{exe: exe, argv: []string{"x"}}
	uts, err := os.Open("/proc/self/ns/uts")
	check.NoError(t, "open a namespace", err)
	defer uts.Close()
	for _, c := range []struct {
		steps []Step
		want  string
	}{
		{nil, "execute /proc/self/status: permission denied"},
		{[]Step{{Do: Fork}}, "execute /proc/self/status: permission denied"},
		{[]Step{{Do: SetNS, Type: Net, File: uts}}, "join the net namespace /proc/self/ns/uts: invalid argument"},
		{[]Step{{Do: Fork}, {Do: SetNS, Type: Net, File: uts}}, "join the net namespace /proc/self/ns/uts: invalid argument"},
		{[]Step{{Do: SetNS, Type: Net}}, `a step to join "net" without an open namespace of that type`},
		{[]Step{{Do: Fork}, {Do: Fork}}, "two forks"},
		{[]Step{{Do: 42}}, "step 42: operation not supported"},
	} {
		_, err := takeSteps(c.steps, prog)
		check.ErrorHas(t, fmt.Sprintf("take the steps %v", c.steps), err, []string{c.want})
		_, err = unix.Wait4(-1, nil, unix.WNOHANG, nil)
		check.ErrorIs(t, "wait for any child that is left", err, syscall.ECHILD)
	}
}

// Under load, with a garbage collector and other threads at work: nothing of the
// runtime may be missed in the child.
func TestTakeSteps_OfABusyProgram(t *testing.T) {
	sandbox.Need(t)
	stop := make(chan struct{})
	for range 2 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = make([]byte, 1<<16)
					runtime.Gosched()
				}
			}
		}()
	}
	defer close(stop)
	exe, err := os.Open("/bin/true")
	check.NoError(t, "open /bin/true", err)
	defer exe.Close()
	for range 20 {
		state, err := check.Within(t, "start a program", "it to end", func() (*os.ProcessState, error) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			child, err := takeSteps([]Step{{Do: Fork}}, program{exe, []string{"true"}, nil, nil})
			if err != nil {
				return nil, err
			}
			return child.Wait()
		})
		check.NoError(t, "start a program", err)
		check.Equal(t, "its exit status", 0, state.ExitCode())
	}
}
