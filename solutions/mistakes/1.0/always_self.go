// Mistake: /proc/self is read whatever pid is
package namespaces

import (
	"fmt"
	"os"
)

func Current(pid int) (map[string]uint64, error) {
	links, err := os.ReadDir("/proc/self/ns")
	if err != nil {
		return nil, err
	}
	current := map[string]uint64{}
	for _, link := range links {
		text, err := os.Readlink("/proc/self/ns/" + link.Name())
		if err != nil {
			return nil, err
		}
		var n uint64
		for i := range text {
			if text[i] == '[' {
				fmt.Sscanf(text[i:], "[%d]", &n)
			}
		}
		current[link.Name()] = n
	}
	return current, nil
}
