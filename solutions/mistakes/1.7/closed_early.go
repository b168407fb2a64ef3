// Mistake: the files are closed when Join returns, before any step is taken
package namespaces

import (
	"fmt"
	"os"
)

// Join opens the namespaces and returns the steps by which a raw child enters
// them. It changes nothing in the caller.
func Join(namespaces []Namespace) (steps []Step, err error) {
	defer func() {
		if err != nil {
			for _, s := range steps {
				s.File.Close()
			}
			steps = nil
		}
	}()
	var user, fork []Step
	for _, ns := range namespaces {
		if ns.Path == "" {
			continue
		}
		file, own, err := refOpen(ns)
		if err != nil {
			return append(steps, user...), err
		}
		defer file.Close()
		step := Step{Do: SetNS, Type: ns.Type, File: file}
		switch {
		case own:
			file.Close()
		case ns.Type == UserNS:
			user = []Step{step}
		case ns.Type == PID:
			fork = []Step{{Do: Fork}}
			fallthrough
		default:
			steps = append(steps, step)
		}
	}
	if user != nil {
		user = append(user, Step{Do: BecomeRoot})
	}
	// Each call needs CAP_SYS_ADMIN in the caller's user namespace and in the one that
	// owns what is joined. Who has none in his own gets one only by joining; who has
	// one keeps it only until then.
	if privileged() {
		steps = append(steps, user...)
	} else {
		steps = append(user, steps...)
	}
	// Last, so that the intermediate process does nothing that it could take along.
	return append(steps, fork...), nil
}

// refOpen opens a namespace, checks its kind, and says whether the caller is in it.
func refOpen(ns Namespace) (*os.File, bool, error) {
	file, err := os.Open(ns.Path)
	if err != nil {
		return nil, false, fmt.Errorf("join %s: %w", ns.Type, err)
	}
	own, err := refCheck(file, ns)
	if err != nil {
		file.Close()
		return nil, false, fmt.Errorf("join %s: %w", ns.Type, err)
	}
	return file, own, nil
}

func refCheck(file *os.File, ns Namespace) (own bool, err error) {
	kind, err := nsType(file)
	if err != nil {
		return false, err
	}
	if kind != ns.Type {
		return false, fmt.Errorf("%s is a %s namespace", ns.Path, kind)
	}
	// The thread's: a Go program may have threads in different ones.
	mine, err := os.Stat("/proc/thread-self/ns/" + string(ns.Type))
	if err != nil {
		return false, err
	}
	its, err := file.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, its), nil
}
