package namespaces

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is searched if the spec's Env has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookup returns the path of the spec's program as execve wants it: searched in
// the spec's own PATH, below the root that the process has by now. The error is
// a StartError with Program set: ENOENT, or EACCES for what is there but is not
// executable.
func lookup(spec *Spec) (string, error) {
	if err := inRoot(spec.Dir); err != nil {
		return "", err
	}
	name := spec.Args[0]
	if strings.Contains(name, "/") {
		return name, programError(name, executable(name))
	}
	dirs := defaultPath
	for _, e := range spec.Env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			dirs = v
		}
	}
	found := error(unix.ENOENT)
	for dir := range strings.SplitSeq(dirs, ":") {
		file := path.Join(dir, name)
		err := executable(file)
		if err == nil {
			return file, nil
		}
		// Remember that something was there: "not executable" says more than "not found".
		if errors.Is(err, unix.EACCES) {
			found = err
		}
	}
	if errors.Is(found, unix.ENOENT) {
		return "", programError(name+" in PATH "+dirs, found)
	}
	return "", programError(name, found)
}

// inRoot refuses a working directory that is not below the root: it was reached by a
// descriptor, as /proc/self/fd/0 is if the input is a folder (CVE-2024-21626).
func inRoot(dir string) error {
	if dir == "" {
		return nil
	}
	if _, err := unix.Getwd(); errors.Is(err, unix.ENOENT) { // the kernel's "(unreachable)", which is no path
		return fmt.Errorf("chdir to %s: it leads out of the root", dir)
	}
	return nil
}

func executable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EACCES
	}
	return unix.Access(file, unix.X_OK)
}

// programError says that the program could not be executed, and why.
func programError(name string, err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	if errno == unix.ENOENT && unix.Access(name, unix.F_OK) == nil {
		err = errors.New("its interpreter (the #! line, or the dynamic loader) is not below this root")
	}
	return &StartError{Program: true, Errno: errno, Text: fmt.Sprintf("execute %s: %v", name, err)}
}
