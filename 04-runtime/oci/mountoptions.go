package oci

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A mountPlan is one mount of the spec with its options read.
type mountPlan struct {
	specs.Mount
	bind, recursive bool
	flags           uintptr  // MS_…, for a file system that is made anew
	set, clear      uint64   // MOUNT_ATTR_…, for a bind
	setAll          uint64   // likewise, with all mounts below (rro …)
	clearAll        uint64   // (rrw …)
	propagation     []uint64 // MS_PRIVATE …, with MS_REC; in order
	data            []string // what the file system itself is told
	idmap           uint64   // AT_RECURSIVE for ridmap; 0 and idmapped: idmap
	idmapped        bool
}

// An option is what one word means: a flag of mount(2) and the attribute of
// mount_setattr(2) of the same meaning, to be set or cleared.
type option struct {
	flag  uintptr
	attr  uint64
	clear bool
}

var mountOptions = map[string]option{
	"ro": {unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY, false}, "rw": {unix.MS_RDONLY, 0, true}, // a bind of what is read-only stays so
	"nosuid": {unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID, false}, "suid": {unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID, true},
	"nodev": {unix.MS_NODEV, unix.MOUNT_ATTR_NODEV, false}, "dev": {unix.MS_NODEV, unix.MOUNT_ATTR_NODEV, true},
	"noexec": {unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC, false}, "exec": {unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC, true},
	"nodiratime": {unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME, false}, "diratime": {unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME, true},
	"nosymfollow": {unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW, false}, "symfollow": {unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW, true},
	"noatime": {unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME, false}, "atime": {unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME, true},
	"strictatime": {unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME, false}, "nostrictatime": {unix.MS_STRICTATIME, unix.MOUNT_ATTR_STRICTATIME, true},
	"relatime": {unix.MS_RELATIME, relatime, false}, "norelatime": {unix.MS_RELATIME, relatime, true},
	"sync": {unix.MS_SYNCHRONOUS, 0, false}, "async": {unix.MS_SYNCHRONOUS, 0, true}, "dirsync": {unix.MS_DIRSYNC, 0, false},
	"mand": {unix.MS_MANDLOCK, 0, false}, "nomand": {unix.MS_MANDLOCK, 0, true},
	"iversion": {unix.MS_I_VERSION, 0, false}, "noiversion": {unix.MS_I_VERSION, 0, true},
	"silent": {unix.MS_SILENT, 0, false}, "loud": {unix.MS_SILENT, 0, true},
	"defaults": {}, "acl": {unix.MS_POSIXACL, 0, false}, "noacl": {unix.MS_POSIXACL, 0, true},
	"lazytime": {unix.MS_LAZYTIME, 0, false}, "nolazytime": {unix.MS_LAZYTIME, 0, true},
}

// relatime is 0 in the kernel: of the kinds of atime the one that is none other. Here
// it is a bit of our own, so that asking for it is told from not asking.
const relatime = 1 << 63

var propagations = map[string]uint64{
	"private": unix.MS_PRIVATE, "shared": unix.MS_SHARED, "slave": unix.MS_SLAVE, "unbindable": unix.MS_UNBINDABLE,
	"rprivate": unix.MS_PRIVATE | unix.MS_REC, "rshared": unix.MS_SHARED | unix.MS_REC,
	"rslave": unix.MS_SLAVE | unix.MS_REC, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
}

// planMount reads the options of a mount (config.md, "Linux mount options"). What is
// no option of Linux is data of the file system, of which a bind has none.
func planMount(m specs.Mount) (*mountPlan, error) {
	p := &mountPlan{Mount: m, bind: m.Type == "bind"}
	if m.Destination == "" {
		return nil, fmt.Errorf("a mount of %q has no destination", m.Source)
	}
	for _, word := range m.Options {
		if way, ok := propagations[word]; ok {
			p.propagation = append(p.propagation, way)
			continue
		}
		if o, ok := mountOptions[word]; ok {
			if o.clear {
				p.flags &^= o.flag
				p.set, p.clear = p.set&^o.attr, p.clear|o.attr
			} else {
				p.flags |= o.flag
				p.set, p.clear = p.set|o.attr, p.clear&^o.attr
			}
			if word == "rw" {
				p.set &^= unix.MOUNT_ATTR_RDONLY
			}
			continue
		}
		if o, ok := mountOptions[strings.TrimPrefix(word, "r")]; ok && word[0] == 'r' && (o.attr != 0 || word == "rrw") {
			if word == "rrw" {
				o.attr = unix.MOUNT_ATTR_RDONLY
			}
			if o.clear {
				p.setAll, p.clearAll = p.setAll&^o.attr, p.clearAll|o.attr
			} else {
				p.setAll, p.clearAll = p.setAll|o.attr, p.clearAll&^o.attr
			}
			continue
		}
		switch word {
		case "bind":
			p.bind = true
		case "rbind":
			p.bind, p.recursive = true, true
		case "idmap":
			p.idmapped = true
		case "ridmap":
			p.idmapped, p.idmap = true, unix.AT_RECURSIVE
		case "tmpcopyup":
			return nil, fmt.Errorf("mount %s: the option tmpcopyup is an invention of runc's and not built: copy the files in the image", m.Destination)
		default:
			p.data = append(p.data, word)
		}
	}
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		p.idmapped = true
	}
	switch {
	case p.bind && len(p.data) > 0:
		return nil, fmt.Errorf("mount %s: a bind has no option %q", m.Destination, p.data[0])
	case p.bind && m.Source == "":
		return nil, fmt.Errorf("mount %s: a bind needs a source", m.Destination)
	case p.idmapped && !p.bind:
		return nil, fmt.Errorf("mount %s: only binds are mapped to other ids here, and %s is none", m.Destination, m.Type)
	case p.idmapped && (len(m.UIDMappings) == 0 || len(m.GIDMappings) == 0):
		return nil, fmt.Errorf("mount %s: idmap needs uidMappings and gidMappings", m.Destination)
	case !p.bind && m.Type == "":
		return nil, fmt.Errorf("mount %s: it has no type", m.Destination)
	}
	return p, nil
}

// attributes gives mount_setattr(2) what it wants. The kinds of atime are one field
// of three values: whoever sets one must clear the field.
func attributes(set, clear uint64) unix.MountAttr {
	const kinds = unix.MOUNT_ATTR_NOATIME | unix.MOUNT_ATTR_STRICTATIME
	if set&(relatime|kinds) != 0 || clear&(relatime|kinds) != 0 {
		if clear&relatime != 0 {
			set |= unix.MOUNT_ATTR_STRICTATIME
		}
		clear = clear&^kinds | unix.MOUNT_ATTR__ATIME
	}
	return unix.MountAttr{Attr_set: set &^ relatime, Attr_clr: clear &^ relatime}
}

// readonlyLater says whether the mount becomes read-only only once everything in it
// is made: devices in /dev, mount points in a tmpfs.
func (p *mountPlan) readonlyLater() bool {
	return p.flags&unix.MS_RDONLY != 0 && (p.Type == "tmpfs" && !p.bind || clean(p.Destination) == "/dev")
}
