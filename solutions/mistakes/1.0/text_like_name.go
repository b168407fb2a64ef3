// Mistake: each link's text is taken to begin with its name, and pid_for_children's begins with pid
package namespaces

import (
	"fmt"
	"os"
)

// Current returns, for the process pid, the inode number of each namespace it is
// in, by the name of its link. pid 0 means this process.
func Current(pid int) (map[string]uint64, error) {
	dir := "/proc/self/ns"
	if pid != 0 {
		dir = fmt.Sprintf("/proc/%d/ns", pid)
	}
	links, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	current := make(map[string]uint64, len(links))
	for _, link := range links {
		// Never follow it: what it points to is not a path.
		text, err := os.Readlink(dir + "/" + link.Name())
		if err != nil {
			return nil, fmt.Errorf("read namespace: %w", err)
		}
		var n uint64
		if _, err := fmt.Sscanf(text, link.Name()+":[%d]", &n); err != nil {
			return nil, fmt.Errorf("%s/%s is %q: %w", dir, link.Name(), text, err)
		}
		// The key is the link's name: pid and pid_for_children both say "pid:[…]".
		current[link.Name()] = n
	}
	return current, nil
}
