package oci

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Which devices a container may open or make is decided by a list that begins
// with "none": on v1 the kernel keeps it (devices.allow, devices.deny), on v2 it is a
// small eBPF program, asked at each open and mknod of a device. The last rule that
// fits counts; after the bundle's own come those that every container has.

// everyDevice are the devices that the runtime-spec gives every container
// (config-linux.md, "Default Devices"), and mknod of any: a node that cannot be
// opened harms nobody, and tar wants to make them.
var everyDevice = []specs.LinuxDeviceCgroup{
	{Allow: true, Type: "c", Access: "m"}, {Allow: true, Type: "b", Access: "m"},
	device(1, 3), device(1, 5), device(1, 7), device(1, 8), device(1, 9), device(5, 0), device(5, 2), device(136, -1),
}

func device(major, minor int64) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Access: "rwm"}
	if minor >= 0 {
		d.Minor = &minor
	}
	return d
}

// A deviceRule is one rule with everything spelled out; -1 is any number.
type deviceRule struct {
	allow        bool
	kind         byte // 'a' for both
	major, minor int64
	access       uint32 // of accessMknod …
}

// BPF_DEVCG_ACC_… and BPF_DEVCG_DEV_… of linux/bpf.h
const (
	accessMknod, accessRead, accessWrite = 1, 2, 4
	accessAll                            = 7
	kindBlock, kindChar                  = 1, 2
)

// deviceRules reads rules. One for everything makes those before it void.
func deviceRules(list []specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	var rules []deviceRule
	for i, d := range list {
		r := deviceRule{allow: d.Allow, kind: 'a', major: -1, minor: -1}
		if d.Major != nil {
			r.major = *d.Major
		}
		if d.Minor != nil {
			r.minor = *d.Minor
		}
		for _, c := range d.Access {
			at := strings.IndexRune("mrw", c)
			if at < 0 {
				return nil, fmt.Errorf("resources.devices[%d]: access %q: want some of rwm", i, d.Access)
			}
			r.access |= 1 << at
		}
		if d.Access == "" {
			r.access = accessAll
		}
		switch d.Type {
		case "", "a":
			// As in a line of devices.allow, "a" is all there is, whatever follows it.
			rules, r.major, r.minor, r.access = nil, -1, -1, accessAll
		case "b", "c":
			r.kind = d.Type[0]
		case "u":
			r.kind = 'c'
		default:
			return nil, fmt.Errorf("resources.devices[%d]: type %q: want a, b or c", i, d.Type)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// setDevices puts a list in force in the place of the one before. In a user
// namespace neither is allowed, and no device can be made there anyway.
func (gs *groups) setDevices(list []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(list)
	if err != nil {
		return err
	}
	if !allowsAll(rules) {
		every, _ := deviceRules(everyDevice)
		rules = append(rules, every...)
	}
	g := gs.find("devices")
	if g == nil {
		return nil
	}
	if g.v2() {
		err = attachDeviceFilter(g.dir, rules)
	} else {
		err = writeDevices(g.dir, rules)
	}
	if err != nil && gs.rootless && denied(err) {
		return nil // what could be opened outside is all that can be opened inside
	}
	return err
}

// writeDevices writes v1's list. Its rules are exceptions from all or from none: a
// part of what one rule allowed cannot be denied by another.
func writeDevices(dir string, rules []deviceRule) error {
	all := allowsAll(rules)
	first := "devices.deny"
	if all {
		first = "devices.allow"
	}
	if now, _ := readFile(dir, "devices.list"); !all || now != "a *:* rwm" {
		if err := writeFile(dir, first, "a"); err != nil {
			return err
		}
	}
	for i, r := range rules {
		if r.kind == 'a' || all && r.allow && !slices.ContainsFunc(rules[:i], func(b deviceRule) bool { return !b.allow && b.meets(r) }) {
			continue
		}
		for _, b := range rules[:i] {
			if b.allow != r.allow && b.allow != all && b.meets(r) && !r.covers(b) {
				return fmt.Errorf("resources.devices: %q takes back a part of %q, which cgroup v1 cannot: allow less instead", r, b)
			}
		}
		file := "devices.deny"
		if r.allow {
			file = "devices.allow"
		}
		if err := writeFile(dir, file, r.String()); err != nil {
			return err
		}
	}
	return nil
}

func allowsAll(rules []deviceRule) bool {
	return len(rules) > 0 && rules[0].kind == 'a' && rules[0].allow
}

func (r deviceRule) String() string {
	number := func(n int64) string {
		if n < 0 {
			return "*"
		}
		return fmt.Sprint(n)
	}
	var access strings.Builder
	for i, c := range "mrw" {
		if r.access&(1<<i) != 0 {
			access.WriteRune(c)
		}
	}
	return fmt.Sprintf("%c %s:%s %s", r.kind, number(r.major), number(r.minor), access.String())
}

func (r deviceRule) meets(o deviceRule) bool {
	one := func(a, b int64) bool { return a < 0 || b < 0 || a == b }
	return r.kind == o.kind && one(r.major, o.major) && one(r.minor, o.minor) && r.access&o.access != 0
}

func (r deviceRule) covers(o deviceRule) bool {
	one := func(a, b int64) bool { return a < 0 || a == b }
	return r.kind == o.kind && one(r.major, o.major) && one(r.minor, o.minor) && r.access&o.access == o.access
}
