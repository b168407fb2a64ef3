package shim

import "os"

// Program runs and never returns if this process is a shim or a hold: by its first
// argument. The small binary's main calls it.
func Program() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "shim":
		os.Exit(Main(os.Args[2:]))
	case "hold":
		os.Exit(HoldMain())
	}
}
