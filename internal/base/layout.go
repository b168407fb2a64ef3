package base

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// item is one entry of the root. A link has a target, a file a body, and a
// directory neither.
type item struct {
	path string
	mode fs.FileMode
	link string
	body string
}

// layout is in the order of making: a directory before what it holds.
var layout = []item{
	{path: "bin", mode: 0o755},
	{path: "dev", mode: 0o755},
	{path: "etc", mode: 0o755},
	{path: "home", mode: 0o755},
	{path: "mnt", mode: 0o755},
	{path: "proc", mode: 0o555},
	{path: "root", mode: 0o700},
	{path: "run", mode: 0o755},
	{path: "sys", mode: 0o555},
	{path: "tmp", mode: 0o777 | fs.ModeSticky},
	{path: "usr", mode: 0o755},
	{path: "var", mode: 0o755},
	{path: "var/log", mode: 0o755},
	{path: "var/tmp", mode: 0o777 | fs.ModeSticky},
	{path: "sbin", link: "bin"},
	{path: "usr/bin", link: "../bin"},
	{path: "usr/sbin", link: "../bin"},
	{path: "var/run", link: "../run"},
	{path: "etc/mtab", link: "/proc/self/mounts"},
	{path: "etc/passwd", mode: 0o644, body: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
	{path: "etc/group", mode: 0o644, body: "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"},
	{path: "etc/hostname", mode: 0o644, body: "coracle\n"},
	{path: "etc/hosts", mode: 0o644, body: "127.0.0.1 localhost\n::1 localhost\n"},
	{path: "etc/resolv.conf", mode: 0o644, body: "# nameserver ADDRESS, one a line\n"},
	{path: "etc/profile", mode: 0o644, body: "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"},
	{path: "etc/os-release", mode: 0o644, body: "ID=coracle-base\nNAME=\"coracle base\"\nPRETTY_NAME=\"coracle base\"\n"},
}

// lay makes every item below root and a link in bin for each applet.
func lay(root string, applets []string) error {
	items := layout
	for _, name := range applets {
		items = append(items[:len(items):len(items)], item{path: "bin/" + name, link: "box"})
	}
	for _, it := range items {
		path := filepath.Join(root, it.path)
		var err error
		switch {
		case it.link != "":
			err = os.Symlink(it.link, path)
		case it.body != "":
			err = os.WriteFile(path, []byte(it.body), it.mode)
		default:
			err = os.MkdirAll(path, 0o755)
		}
		if err == nil && it.link == "" {
			err = os.Chmod(path, it.mode) // whatever the umask says
		}
		if err != nil {
			return fmt.Errorf("lay out %s: %w", it.path, err)
		}
	}
	return nil
}
