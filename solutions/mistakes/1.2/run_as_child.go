// Mistake: the program is run as a child of init, which execve would have become
package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

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
func refTalk(spec *Spec, pid int, specW io.WriteCloser, errorR io.Reader) error {
	if spec.New(UserNS) && len(spec.UIDMap) > 0 {
		if err := MapIDs(pid, spec.UIDMap, spec.GIDMap); err != nil {
			return err
		}
	}
	sent := json.NewEncoder(specW).Encode(spec)
	specW.Close()
	said, err := io.ReadAll(errorR)
	if len(said) > 0 {
		return decodeError(said)
	}
	return errors.Join(sent, err)
}
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
	if err := json.NewDecoder(pipe).Decode(spec); err != nil {
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
	cmd := &exec.Cmd{Path: program, Args: spec.Args, Env: spec.Env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		return programError(program, err)
	}
	cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
	return nil
}
