package namespaces

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/01-namespaces/seccomp"
)

// x32Bit marks a system call of the x32 ABI: a 64-bit process with 32-bit pointers.
// Linux counts it as AUDIT_ARCH_X86_64 (__X32_SYSCALL_BIT in asm/unistd.h).
const x32Bit = 0x40000000

// installFilters installs what the spec has of filters, compiled or not.
func installFilters(spec *Spec) error {
	if spec.Seccomp != nil {
		if err := installSeccomp(spec.Seccomp); err != nil {
			return err
		}
	}
	if spec.Compiled != nil {
		return spec.Compiled.Install()
	}
	return nil
}

// installSeccomp compiles a whole profile, which package seccomp does, and
// installs the result, which is exercise 1.9.
func installSeccomp(profile *specs.LinuxSeccomp) error {
	program, err := seccomp.Compile(profile)
	if err != nil {
		return err
	}
	flags, err := seccomp.Flags(profile)
	if err != nil {
		return err
	}
	if err := InstallFilter(program, flags); err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	return nil
}
