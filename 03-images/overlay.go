package images

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountOverlay mounts layers, the topmost first, below upper or below nothing.
func mountOverlay(target string, lower []string, upper, work string, flags uintptr) error {
	options, done, err := overlayOptions(lower, upper, work)
	if err == nil {
		defer done()
		err = unix.Mount("overlay", target, "overlay", flags, options)
	}
	if err != nil {
		return fmt.Errorf("mount %d layers on %s: %w", len(lower), target, err)
	}
	return nil
}

// byDescriptor opens folders and gives each a short name, which is good until done.
func byDescriptor(dirs []string) (names []string, done func(), err error) {
	var open []*os.File
	done = func() {
		for _, f := range open {
			f.Close()
		}
	}
	for _, dir := range dirs {
		f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			done()
			return nil, nil, err
		}
		open = append(open, f)
		names = append(names, fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	return names, done, nil
}
