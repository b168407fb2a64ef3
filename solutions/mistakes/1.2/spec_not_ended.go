// Mistake: the parent never ends the spec's pipe, and the child reads until it ends
package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start runs the spec's program as a child in its new namespaces, and returns
// once it runs.
func Start(spec *Spec, stdio Stdio) (*Process, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	flags, err := CloneFlags(spec)
	if err != nil {
		return nil, err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer specW.Close()
	errorR, errorW, err := os.Pipe()
	if err != nil {
		specR.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer errorR.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{initName}, &syscall.ProcAttr{
		Env: initEnv, Files: stdio.descriptors(specR, errorW), Sys: childAttr(spec, flags),
	})
	// The child has its own. While ours are open, no end of file would come.
	specR.Close()
	errorW.Close()
	if err != nil {
		return nil, explainClone(spec, err)
	}
	child := &Process{Pid: pid}
	if err := refTalk(spec, pid, specW, errorR); err != nil {
		child.Kill()
		child.Wait()
		return nil, err
	}
	return child, nil
}

// refTalk maps the child's ids, sends the spec, and waits for an error or for the
// execve that closes the pipe.
func refTalk(spec *Spec, pid int, specW io.WriteCloser, errorR io.Reader) error {
	if spec.New(UserNS) && len(spec.UIDMap) > 0 {
		if err := MapIDs(pid, spec.UIDMap, spec.GIDMap); err != nil {
			return err
		}
	}
	sent := json.NewEncoder(specW).Encode(spec)
	// What the child says comes first: that it died is why it could not be told more.
	said, err := io.ReadAll(errorR)
	if len(said) > 0 {
		return decodeError(said)
	}
	return errors.Join(sent, err)
}

// Init is the child's side of Start: it reads the spec, makes of this process
// what it says, and becomes the program.
func Init() error {
	unix.CloseOnExec(errorFD)
	err := refBecome()
	if _, failed := unix.Write(errorFD, encodeError(err)); failed != nil {
		return err
	}
	os.Exit(125)
	return nil
}

func refBecome() error {
	pipe := os.NewFile(specFD, "spec")
	spec := new(Spec)
	text, err := io.ReadAll(pipe)
	if err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	if err := json.Unmarshal(text, spec); err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	pipe.Close()
	if err := setup(spec); err != nil {
		return err
	}
	if spec.Dir != "" {
		if err := unix.Chdir(spec.Dir); err != nil {
			return fmt.Errorf("chdir to %s: %w", spec.Dir, err)
		}
	}
	program, err := lookup(spec)
	if err != nil {
		return err
	}
	return programError(program, unix.Exec(program, spec.Args, spec.Env))
}
