package vm

import (
	"fmt"
	"os/exec"
)

// Problem is something that keeps a machine from starting, and its remedy.
type Problem struct{ What, Fix string }

func (p Problem) String() string { return p.What + "; " + p.Fix }

// Doctor returns what is missing here, without starting or downloading anything.
func Doctor() []Problem {
	var problems []Problem
	if _, err := exec.LookPath(qemuName()); err != nil {
		problems = append(problems, qemuProblem())
	}
	if _, err := localKernel(); err != nil {
		if _, err := exec.LookPath("apt-get"); err != nil {
			problems = append(problems, Problem{"no kernel for the virtual machine",
				"unpack a distribution's kernel package and name its vmlinuz with --kernel"})
		}
	}
	return problems
}

// HasKernel reports whether a kernel is here already; otherwise the first run downloads one (27 MB).
func HasKernel() bool {
	_, err := localKernel()
	return err == nil
}

func qemuProblem() Problem {
	apt, dnf := "qemu-system-x86", "qemu-system-x86-core"
	if qemuName() == "qemu-system-aarch64" {
		apt, dnf = "qemu-system-arm", "qemu-system-aarch64-core"
	}
	return Problem{fmt.Sprintf("%s is not installed", qemuName()),
		fmt.Sprintf("sudo apt-get install --no-install-recommends %s, or: sudo dnf install %s", apt, dnf)}
}
