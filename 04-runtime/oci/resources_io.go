package oci

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// throttled names, for each list of blockIO's throttles, the file of v1 and the
// key in a line of v2's io.max.
func throttled(b *specs.LinuxBlockIO) []struct {
	v1, v2  string
	devices []specs.LinuxThrottleDevice
} {
	return []struct {
		v1, v2  string
		devices []specs.LinuxThrottleDevice
	}{
		{"blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// blockV1 words weights for BFQ, the one scheduler left that knows them; the names
// without bfq went with CFQ in Linux 5.0.
func blockV1(p *plan, r *specs.LinuxResources) error {
	b := r.BlockIO
	if b == nil {
		return nil
	}
	if n := value(b.Weight); n != 0 {
		p.add("blkio", "blkio.bfq.weight", n)
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			p.add("blkio", "blkio.bfq.weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
		}
	}
	for _, t := range throttled(b) {
		for _, d := range t.devices {
			p.add("blkio", t.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
	leafWeight(p, b)
	return nil
}

func blockV2(p *plan, r *specs.LinuxResources) error {
	b := r.BlockIO
	if b == nil {
		return nil
	}
	if n := value(b.Weight); n != 0 {
		if n < 10 || n > 1000 {
			return fmt.Errorf("blockIO.weight %d: want 10 to 1000", n)
		}
		p.add("io", "io.weight", fmt.Sprintf("default %d", ioWeight(n)))
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			p.add("io", "io.weight", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, ioWeight(*d.Weight)))
		}
	}
	for _, t := range throttled(b) {
		for _, d := range t.devices {
			rate := "max"
			if d.Rate != 0 {
				rate = fmt.Sprint(d.Rate)
			}
			p.add("io", "io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, t.v2, rate))
		}
	}
	leafWeight(p, b)
	return nil
}

// ioWeight maps v1's 10 to 1000 onto v2's 1 to 10000, as Kubernetes and runc do.
func ioWeight(n uint16) int { return 1 + (int(n)-10)*9999/990 }

func leafWeight(p *plan, b *specs.LinuxBlockIO) {
	given := b.LeafWeight != nil
	for _, d := range b.WeightDevice {
		given = given || d.LeafWeight != nil
	}
	if given {
		p.warn("blockIO.leafWeight is not set: it went with the scheduler CFQ in Linux 5.0")
	}
}

func networkV1(p *plan, r *specs.LinuxResources) error {
	if r.Network == nil {
		return nil
	}
	if n := value(r.Network.ClassID); n != 0 {
		p.add("net_cls", "net_cls.classid", n)
	}
	for _, i := range r.Network.Priorities {
		p.add("net_prio", "net_prio.ifpriomap", fmt.Sprintf("%s %d", i.Name, i.Priority))
	}
	return nil
}

func networkV2(_ *plan, r *specs.LinuxResources) error {
	if r.Network != nil && (value(r.Network.ClassID) != 0 || len(r.Network.Priorities) > 0) {
		return errors.New("network.classID and priorities: cgroup v2 does not mark packets; match the cgroup in nftables (socket cgroupv2)")
	}
	return nil
}
