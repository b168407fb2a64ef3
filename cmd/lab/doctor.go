package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"coracle/internal/doctor"
	"coracle/internal/exercise"
	"coracle/internal/screen"
	"coracle/internal/vm"
)

func doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "What this machine can do, and how to allow the rest",
		Long: `Tries what the chapters need: namespaces, mounts, ids, groups, folders, tools.
Each line says ok, warn or fail, and what to do about it. In a pipe the columns
are set apart by tabs. Exit status: 1 if a chapter cannot be done at all.`,
		Example: "  ./lab doctor",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			machine := vmChecks()
			checks := doctor.Run(cmd.Context(), doctor.Options{
				Root: t.Path(".lab/cache"), Cache: filepath.Dir(self), Probe: []string{self, "dev", "probe"}, VM: machine,
			})
			return showDoctor(screen.New(os.Stdout), checks, machine[0].Level == doctor.OK)
		},
	}
}

// vmChecks words what the virtual machine lacks; it is never a failure.
func vmChecks() []doctor.Check {
	problems := vm.Doctor()
	if len(problems) == 0 {
		says := "./lab vm can start one"
		if !vm.HasKernel() {
			says += "; the first start downloads a kernel (27 MB)"
		}
		return []doctor.Check{{Name: "virtual machine", Level: doctor.OK, Says: says}}
	}
	var checks []doctor.Check
	for _, p := range problems {
		checks = append(checks, doctor.Check{Name: "virtual machine", Level: doctor.Warn, Says: p.What, Fix: p.Fix})
	}
	return checks
}

func showDoctor(s *screen.Screen, checks []doctor.Check, vm bool) error {
	styles := map[doctor.Level]screen.Style{doctor.OK: screen.Green, doctor.Warn: screen.Yellow, doctor.Fail: screen.Red}
	for _, c := range checks {
		if !s.TTY {
			fmt.Fprintf(s, "%s\t%s\t%s\t%s\n", c.Level, c.Name, c.Says, c.Fix)
			continue
		}
		const margin = 23
		for i, line := range screen.Wrap(c.Says, s.Width-margin) {
			level, name := string(c.Level), c.Name
			if i > 0 {
				level, name = "", ""
			}
			fmt.Fprintf(s, "%s %s %s\n", s.Paint(styles[c.Level], screen.Pad(level, 4)), screen.Pad(name, margin-6), line)
		}
		if c.Fix != "" {
			for i, line := range screen.Wrap(c.Fix, s.Width-margin-3) {
				arrow := "→ "
				if i > 0 {
					arrow = "  "
				}
				fmt.Fprintf(s, "%*s%s%s\n", margin-1, "", s.Paint(screen.Dim, arrow), line)
			}
		}
	}
	if s.TTY {
		fmt.Fprintln(s)
	}
	here, anywhere := doctor.Impossible(checks, false), doctor.Impossible(checks, vm)
	for _, c := range exercise.Chapters() {
		says := "can be done here"
		switch {
		case slices.Contains(anywhere, c.N):
			says = "cannot be done here: see fail above"
		case slices.Contains(here, c.N):
			says = fmt.Sprintf("can be done in the virtual machine: ./lab vm test %d", c.N)
		case slices.Contains(doctor.Partly(checks), c.N):
			says = fmt.Sprintf("can be done here in part, the rest in the virtual machine: ./lab vm test %d", c.N)
		}
		fmt.Fprintln(s, s.Fold(fmt.Sprintf("chapter %d %s", c.N, says)))
	}
	if len(anywhere) > 0 {
		return failed()
	}
	return nil
}
