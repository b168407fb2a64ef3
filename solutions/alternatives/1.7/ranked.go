// Alternative: every step has a rank and is sorted by it; the fork is a step right
// after the PID namespace, and a file is compared by what its link says.
package namespaces

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
)

func Join(namespaces []Namespace) ([]Step, error) {
	type ranked struct {
		Step
		rank int
	}
	var plan []ranked
	outermost := privileged()
	var failed error
	for _, ns := range namespaces {
		if ns.Path == "" {
			continue
		}
		mine, err1 := os.Readlink("/proc/thread-self/ns/" + string(ns.Type))
		f, err := os.Open(ns.Path)
		if failed = errors.Join(err, err1); failed != nil {
			failed = fmt.Errorf("namespace %s: %w", ns.Type, failed)
			break
		}
		its, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		kind, err1 := nsType(f)
		if err := errors.Join(err, err1); err != nil || kind != ns.Type {
			f.Close()
			failed = errors.Join(err, fmt.Errorf("%s is wanted as a namespace of type %s and is %s", ns.Path, ns.Type, its))
			break
		}
		if its == mine {
			f.Close()
			continue
		}
		switch {
		case ns.Type == UserNS && outermost:
			plan = append(plan, ranked{Step{Do: SetNS, Type: ns.Type, File: f}, 6}, ranked{Step{Do: BecomeRoot}, 7})
		case ns.Type == UserNS:
			plan = append(plan, ranked{Step{Do: SetNS, Type: ns.Type, File: f}, 1}, ranked{Step{Do: BecomeRoot}, 2})
		case ns.Type == PID:
			plan = append(plan, ranked{Step{Do: SetNS, Type: ns.Type, File: f}, 3}, ranked{Step{Do: Fork}, 4})
		default:
			plan = append(plan, ranked{Step{Do: SetNS, Type: ns.Type, File: f}, 5})
		}
	}
	if failed != nil {
		for _, r := range plan {
			if r.File != nil {
				r.File.Close()
			}
		}
		return nil, failed
	}
	slices.SortStableFunc(plan, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	var steps []Step
	for _, r := range plan {
		steps = append(steps, r.Step)
	}
	return steps, nil
}
