package vm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// metaPackages are the names that always point to the newest kernel: Debian's for clouds (27 MB, boots fastest),
// Ubuntu's, Debian's for everything.
func metaPackages() []string {
	return []string{"linux-image-cloud-" + runtime.GOARCH, "linux-image-virtual", "linux-image-" + runtime.GOARCH}
}

// download fetches the distribution's kernel packages with apt-get, which checks their signatures, and unpacks them
// into the cache. Nothing is installed and root is not needed.
func download(ctx context.Context, log io.Writer) (Kernel, error) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return Kernel{}, fmt.Errorf("there is no %s to download one with: unpack any distribution's kernel package "+
				"(boot/ and lib/modules/) and name its vmlinuz with --kernel", tool)
		}
	}
	packages, err := resolveKernel(ctx)
	if err != nil {
		return Kernel{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return Kernel{}, err
	}
	tmp := filepath.Join(cache, "download")
	unlock, err := lock(tmp)
	if err != nil {
		return Kernel{}, err
	}
	defer unlock()
	if k, err := downloaded(); err == nil {
		return k, nil // by the one that held the lock
	}
	os.RemoveAll(tmp) //nolint:errcheck // of somebody who was killed; Mkdir says what is wrong
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return Kernel{}, fmt.Errorf("kernel cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if log != nil {
		fmt.Fprintf(log, "downloading %s into %s, once\n", strings.Join(packages, " and "), cache)
	}
	// Without the option, root's apt-get warns that its own user may not enter this directory.
	get := append([]string{"-q", "-o", "APT::Sandbox::User=root", "download"}, packages...)
	if _, err := tool(ctx, tmp, "apt-get", get...); err != nil {
		return Kernel{}, fmt.Errorf("%w (often the package lists are old: sudo apt-get update)", err)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	for _, deb := range debs {
		if _, err := tool(ctx, tmp, "dpkg-deb", "-x", deb, filepath.Join(tmp, "root")); err != nil {
			return Kernel{}, err
		}
	}
	images, _ := filepath.Glob(filepath.Join(tmp, "root", "boot", "vmlinuz-*"))
	if len(images) != 1 {
		return Kernel{}, fmt.Errorf("%s: want one boot/vmlinuz-*, have %d", strings.Join(packages, " "), len(images))
	}
	if _, err := kernelAt(images[0]); err != nil {
		return Kernel{}, err
	}
	final := filepath.Join(cache, strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"))
	if err := os.Rename(filepath.Join(tmp, "root"), final); err != nil {
		return Kernel{}, fmt.Errorf("kernel cache: %w", err)
	}
	return kernelAt(filepath.Join(final, "boot", filepath.Base(images[0])))
}

// resolveKernel follows a meta package to the packages that hold the image and its modules (Ubuntu splits them).
func resolveKernel(ctx context.Context) ([]string, error) {
	for _, meta := range metaPackages() {
		out, err := tool(ctx, "", "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests",
			"--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", meta)
		if err != nil {
			continue
		}
		if packages := kernelPackages(out); len(packages) > 0 {
			return packages, nil
		}
	}
	return nil, fmt.Errorf("apt knows none of %s: sudo apt-get update, or name a vmlinuz with --kernel",
		strings.Join(metaPackages(), ", "))
}

// kernelPackages picks from the output of apt-cache depends --recurse, whose unindented lines name packages, those
// with a version in their name: linux-image-6.1.0-56-cloud-amd64, linux-modules-6.8.0-51-generic.
func kernelPackages(depends string) []string {
	var packages []string
	for line := range strings.Lines(depends) {
		name := strings.TrimRight(line, "\n")
		for _, prefix := range []string{"linux-image-", "linux-modules-"} {
			if rest, ok := strings.CutPrefix(name, prefix); ok && strings.IndexAny(rest, "0123456789") == 0 {
				packages = append(packages, name)
			}
		}
	}
	return packages
}

// tool runs a program in the C locale and returns its output, or an error that ends in its last line.
func tool(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args[:min(len(args), 3)]...), " "),
			err, lines[len(lines)-1])
	}
	return stdout.String(), nil
}
