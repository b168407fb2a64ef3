package spec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"k8s.io/apimachinery/pkg/types"

	"coracle/04-runtime/driver"
)

// IDRanges gives each pod with hostUsers: false 65536 ids of its own, so that a process
// that breaks out of one pod is nobody to the node and to every other pod. Which are
// given is in the pods' folders alone, DIR/UID/userns, and ends with them.
// In full size: pkg/kubelet/userns/userns_manager.go.
type IDRanges struct {
	Dir   string // the folder of all pods
	First uint32 // the first id that may be given
	Count uint32 // how many ranges there are

	mu sync.Mutex
}

const rangeSize = 65536

// Of is the pod's maps, the same whenever it is asked.
func (r *IDRanges) Of(uid types.UID) (*driver.IDMaps, error) {
	if uid == "" || strings.ContainsAny(string(uid), "/\x00") || uid == "." || uid == ".." {
		return nil, fmt.Errorf("pod UID %q is no name of a folder", uid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	file := filepath.Join(r.Dir, string(uid), "userns")
	if first, err := readRange(file); err == nil {
		return maps65536(first), nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	given, err := filepath.Glob(filepath.Join(r.Dir, "*", "userns"))
	if err != nil {
		return nil, err
	}
	used := map[uint32]bool{}
	for _, other := range given {
		first, err := readRange(other)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err // rather no pod than one with another's ids
		}
		used[first] = true
	}
	for n := range r.Count {
		first := r.First + n*rangeSize
		if used[first] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return nil, err
		}
		// Whole or not at all, whenever the agent ends.
		if err := os.WriteFile(file+".new", []byte(strconv.FormatUint(uint64(first), 10)), 0o600); err != nil {
			return nil, err
		}
		return maps65536(first), os.Rename(file+".new", file)
	}
	return nil, fmt.Errorf("all %d ranges of ids for pods with hostUsers: false are given", r.Count)
}

func readRange(file string) (uint32, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	first, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return uint32(first), nil
}

func maps65536(first uint32) *driver.IDMaps {
	one := []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: rangeSize}}
	return &driver.IDMaps{UIDs: one, GIDs: one}
}
