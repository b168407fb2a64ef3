package namespaces

import (
	"os"
	"strconv"
	"strings"
)

// capSets is what /proc says of a thread's capabilities, bit by bit.
type capSets struct {
	Inh, Prm, Eff, Bnd, Amb uint64
	NoNewPrivs              int
}

// ownSets reads the sets of the calling thread.
func ownSets() (c capSets) {
	status, _ := os.ReadFile("/proc/thread-self/status")
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":\t")
		set := map[string]*uint64{"CapInh": &c.Inh, "CapPrm": &c.Prm, "CapEff": &c.Eff, "CapBnd": &c.Bnd, "CapAmb": &c.Amb}[name]
		if set != nil {
			*set, _ = strconv.ParseUint(value, 16, 64)
		}
		if name == "NoNewPrivs" {
			c.NoNewPrivs, _ = strconv.Atoi(value)
		}
	}
	return c
}
