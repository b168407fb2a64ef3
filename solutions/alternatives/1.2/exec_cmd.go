// Alternative: os/exec makes the child, a goroutine sends the spec, and Init hands every error to one deferred report.
package namespaces

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func Start(spec *Spec, stdio Stdio) (p *Process, err error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	flags, err := CloneFlags(spec)
	if err != nil {
		return nil, err
	}
	var ends [4]*os.File // spec: read, write; errors: read, write
	defer func() {
		for _, f := range ends {
			f.Close()
		}
	}()
	for i := 0; i < 4; i += 2 {
		if ends[i], ends[i+1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env, cmd.SysProcAttr = []string{initName}, initEnv, childAttr(spec, flags)
	if stdio.In != nil { // a nil *os.File in an interface is not nil
		cmd.Stdin = stdio.In
	}
	if stdio.Out != nil {
		cmd.Stdout = stdio.Out
	}
	if stdio.Err != nil {
		cmd.Stderr = stdio.Err
	}
	cmd.ExtraFiles = []*os.File{ends[0], ends[3]}
	if stdio.Console != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, stdio.Console)
	}
	if err := cmd.Start(); err != nil {
		return nil, explainClone(spec, err)
	}
	ends[0].Close()
	ends[3].Close()
	defer func() {
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	if spec.New(UserNS) && len(spec.UIDMap) > 0 {
		if err := MapIDs(cmd.Process.Pid, spec.UIDMap, spec.GIDMap); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	sent := make(chan struct{})
	go func() {
		ends[1].Write(text)
		ends[1].Close()
		close(sent)
	}()
	var said bytes.Buffer
	_, err = said.ReadFrom(ends[2])
	<-sent
	if said.Len() > 0 {
		return nil, decodeError(said.Bytes())
	}
	return &Process{Pid: cmd.Process.Pid}, err
}

func Init() (err error) {
	defer func() {
		f := os.NewFile(errorFD, "pipe:"+strconv.Itoa(errorFD))
		if _, failed := f.Write(encodeError(err)); failed == nil {
			os.Exit(125)
		}
	}()
	syscall.CloseOnExec(specFD)
	syscall.CloseOnExec(errorFD)
	var spec Spec
	if err := json.NewDecoder(os.NewFile(specFD, "spec")).Decode(&spec); err != nil {
		return err
	}
	if err := setup(&spec); err != nil {
		return err
	}
	if spec.Dir != "" {
		if err := os.Chdir(spec.Dir); err != nil {
			return err
		}
	}
	file, err := lookup(&spec)
	if err != nil {
		return err
	}
	return programError(file, syscall.Exec(file, spec.Args, spec.Env))
}
