// Mistake: the key is taken from the link's text, so pid_for_children overwrites pid
package namespaces

import (
	"fmt"
	"os"
)

func Current(pid int) (map[string]uint64, error) {
	dir := "/proc/self/ns"
	if pid != 0 {
		dir = fmt.Sprintf("/proc/%d/ns", pid)
	}
	links, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	current := map[string]uint64{}
	for _, link := range links {
		text, err := os.Readlink(dir + "/" + link.Name())
		if err != nil {
			return nil, err
		}
		var kind string
		var n uint64
		for i := range text {
			if text[i] == ':' {
				kind = text[:i]
				fmt.Sscanf(text[i:], ":[%d]", &n)
			}
		}
		current[kind] = n
	}
	return current, nil
}
