package shim

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// shed gives memory back: what creating a container needed is garbage to a process that
// waits from here on, maybe for years, and so is the code that did it. The program's
// read-only pages are dropped, too, and come back from the file as they are used.
func shed() {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	maps, mapsErr := os.ReadFile("/proc/self/maps")
	if err != nil || mapsErr != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s", &from, &to, &mode); err != nil || mode[1] == 'w' || !bytes.HasSuffix(line, []byte(" "+exe+"\n")) {
			continue
		}
		// Harmless: a private mapping of a file that was never written to (madvise(2)).
		unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
	}
}
