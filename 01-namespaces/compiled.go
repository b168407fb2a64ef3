package namespaces

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"coracle/01-namespaces/seccomp"
)

// CompiledSeccomp is a profile as the kernel wants it: a fifth of the profile's size, and
// nothing to compile in the child, where it would cost each start again.
type CompiledSeccomp struct {
	Program []byte  `json:"program"` // struct sock_filter, eight bytes an instruction
	Flags   uintptr `json:"flags,omitempty"`
}

// CompileSeccomp puts CompiledSeccomp in the place of Seccomp, if there is one.
func (s *Spec) CompileSeccomp() error {
	if s.Seccomp == nil {
		return nil
	}
	program, err := seccomp.Compile(s.Seccomp)
	if err != nil {
		return err
	}
	f := new(CompiledSeccomp)
	if f.Flags, err = seccomp.Flags(s.Seccomp); err != nil {
		return err
	}
	for _, i := range program {
		f.Program = binary.NativeEndian.AppendUint16(f.Program, i.Code)
		f.Program = append(f.Program, i.Jt, i.Jf)
		f.Program = binary.NativeEndian.AppendUint32(f.Program, i.K)
	}
	s.Seccomp, s.Compiled = nil, f
	return nil
}

// Install puts the filter in force for the calling thread, which is locked.
func (f *CompiledSeccomp) Install() error {
	if len(f.Program)%8 != 0 {
		return errors.New("seccomp: the filter is cut off")
	}
	var program []unix.SockFilter
	for b := f.Program; len(b) > 0; b = b[8:] {
		program = append(program, unix.SockFilter{
			Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:]),
		})
	}
	return InstallFilter(program, f.Flags)
}
