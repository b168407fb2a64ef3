package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Kernel is a distribution's kernel, unpacked or installed.
type Kernel struct {
	Image   string // vmlinuz
	Modules string // the directory that holds modules.builtin and kernel/
	Release string // as uname -r says it
}

// FindKernel returns the kernel to boot, the first of: explicit (a path to a vmlinuz, the modules in its package's
// tree or in /lib/modules), one downloaded before, the host's own where it may be read, a new download.
func FindKernel(ctx context.Context, explicit string, log io.Writer) (Kernel, error) {
	if explicit != "" {
		return kernelAt(explicit)
	}
	if k, err := localKernel(); err == nil {
		return k, nil
	}
	k, err := download(ctx, log)
	if err != nil {
		return Kernel{}, fmt.Errorf("no kernel to boot: none in /boot or /lib/modules can be read, and %w", err)
	}
	return k, nil
}

// downloaded is the newest kernel in the cache.
func downloaded() (Kernel, error) {
	cache, err := cacheDir()
	if err != nil {
		return Kernel{}, err
	}
	images, _ := filepath.Glob(filepath.Join(cache, "[0-9]*", "boot", "vmlinuz-*"))
	slices.SortFunc(images, func(a, b string) int { return modTime(b) - modTime(a) })
	for _, image := range images {
		if k, err := kernelAt(image); err == nil {
			return k, nil
		}
	}
	return Kernel{}, fmt.Errorf("no kernel in %s", cache)
}

// localKernel looks where no network is needed: the newest download, then the host.
func localKernel() (Kernel, error) {
	if k, err := downloaded(); err == nil {
		return k, nil
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return Kernel{}, fmt.Errorf("this host's kernel: %w", err)
	}
	name := strings.TrimSpace(string(release))
	var errs []error
	for _, image := range []string{"/boot/vmlinuz-" + name, "/lib/modules/" + name + "/vmlinuz"} {
		k, err := kernelAt(image)
		if err == nil {
			return k, nil
		}
		errs = append(errs, err)
	}
	return Kernel{}, errors.Join(errs...)
}

func modTime(path string) int {
	if st, err := os.Stat(path); err == nil {
		return int(st.ModTime().Unix())
	}
	return 0
}

// kernelAt pairs an image with its modules: /boot/vmlinuz-R with ../lib/modules/R, /lib/modules/R/vmlinuz with R.
func kernelAt(image string) (Kernel, error) {
	f, err := os.Open(image) // readable, not only there: Ubuntu's are 0600
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return Kernel{}, fmt.Errorf("kernel %s is not a file; give the path of a vmlinuz", image)
	}
	dir, base := filepath.Split(image)
	release, _ := strings.CutPrefix(base, "vmlinuz-")
	for _, modules := range []string{
		filepath.Join(dir, "../lib/modules", release),
		filepath.Join(dir, "../usr/lib/modules", release),
		filepath.Join("/lib/modules", release),
		filepath.Clean(dir),
	} {
		if _, err := os.Stat(filepath.Join(modules, "modules.builtin")); err == nil {
			return Kernel{Image: image, Modules: modules, Release: filepath.Base(modules)}, nil
		}
	}
	return Kernel{}, fmt.Errorf("kernel %s: no modules.builtin in ../lib/modules/%s or /lib/modules/%[2]s; "+
		"keep the package's tree together (dpkg-deb -x)", image, release)
}

// cacheDir is where downloads and built binaries stay from one run to the next.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no directory for the kernel: %w", err)
	}
	return filepath.Join(dir, "coracle", "vm"), nil
}

// qemuName is QEMU for this machine's processor, which is the guest's too: it runs the host's test binaries.
func qemuName() string {
	switch runtime.GOARCH {
	case "arm64":
		return "qemu-system-aarch64"
	default:
		return "qemu-system-x86_64"
	}
}
