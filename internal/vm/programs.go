package vm

import (
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programFiles ships programs of this host with the libraries they are linked to; those that are not installed are left
// out, since what needs them says so itself. A program with file capabilities (Fedora's newuidmap) would lose them in the archive,
// so the two that map ids become setuid, which serves as well.
func programFiles(ctx context.Context, names []string) ([]File, error) {
	var files []File
	have := map[string]bool{}
	for _, name := range names {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		mode := fs.FileMode(0)
		if name == "newuidmap" || name == "newgidmap" {
			mode = fs.ModeSetuid | 0o755
		}
		files = append(files, File{Host: path, Guest: "/usr/bin/" + filepath.Base(name), Mode: mode})
		libraries, err := libraries(ctx, path)
		if err != nil {
			return nil, err
		}
		for _, lib := range libraries {
			if !have[lib] {
				have[lib] = true
				files = append(files, File{Host: lib, Guest: lib})
			}
		}
	}
	return files, nil
}

// lookPath also looks where administrators' tools are, which is not on an ordinary user's PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err != nil && !strings.Contains(name, "/") {
			path, err = exec.LookPath(dir + name)
		}
	}
	return path, err
}

// libraries asks the program's own dynamic loader, which alone knows its search path (ld.so(8), --list).
func libraries(ctx context.Context, program string) ([]string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, nil //nolint:nilerr // a script; its interpreter is for the caller to ship
	}
	defer f.Close()
	var interp string
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return nil, fmt.Errorf("program %s: %w", program, err)
			}
			interp = strings.TrimRight(string(text), "\x00")
		}
	}
	if interp == "" {
		return nil, nil // static
	}
	out, err := tool(ctx, "", interp, "--list", program)
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", program, err)
	}
	return append(parseLibraries(out), interp), nil
}

// parseLibraries reads lines such as "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)".
func parseLibraries(list string) []string {
	var paths []string
	for line := range strings.Lines(list) {
		_, after, ok := strings.Cut(line, "=> ")
		if path, _, found := strings.Cut(after, " ("); ok && found && filepath.IsAbs(path) {
			if _, err := os.Stat(path); err == nil {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
