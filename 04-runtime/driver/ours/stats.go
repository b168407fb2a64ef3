package ours

import (
	"context"
	"errors"
	"time"

	"coracle/03-images"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/network"
	"coracle/04-runtime/oci"
)

// Update changes the limits of a container, or of a sandbox's group.
func (d *Driver) Update(_ context.Context, id string, r driver.Resources) error {
	var s sandbox
	err := d.read("sandboxes", id, &s)
	if err == nil {
		return s.Group.Set(resources(r))
	} else if !errors.Is(err, driver.ErrNotFound) {
		return err
	}
	if err := d.read("containers", id, &container{}); err != nil {
		return err
	}
	return d.rt.Update(id, resources(r))
}

// Stats is what a container or a sandbox has used.
func (d *Driver) Stats(_ context.Context, id string) (driver.Stats, error) {
	out := driver.Stats{At: time.Now()}
	var s sandbox
	err := d.read("sandboxes", id, &s)
	switch {
	case err == nil:
		if err := d.traffic(id, &s, &out); err != nil {
			return out, err
		}
		if len(s.Group.Paths) == 0 {
			return out, nil
		}
		u, err := s.Group.Usage()
		if err == nil {
			fill(&out, u)
		}
		return out, err
	case !errors.Is(err, driver.ErrNotFound):
		return out, err
	}
	if err := d.read("containers", id, &container{}); err != nil {
		return out, err
	}
	if sn, err := d.Store.Snapshot(id); err == nil {
		if out.RootFS, out.RootFSInodes, err = occupied(sn.Upper()); err != nil {
			return out, err
		}
	} else if !errors.Is(err, images.ErrNotFound) {
		return out, err
	}
	u, err := d.rt.Usage(id)
	var ended *oci.OperationError
	if errors.As(err, &ended) || errors.Is(err, oci.ErrNotExist) {
		return out, nil // it uses nothing any more
	} else if err != nil {
		return out, err
	}
	fill(&out, u)
	return out, nil
}

// fill takes over what a group tells. The names of the raw values are v1's and v2's.
func fill(out *driver.Stats, u *oci.Stats) {
	first := func(names ...string) int64 {
		for _, n := range names {
			if v, ok := u.Memory.Raw[n]; ok {
				return int64(v)
			}
		}
		return 0
	}
	out.CPU = time.Duration(u.CPU.Usage.Total)
	out.Memory = int64(u.Memory.Usage.Usage)
	out.WorkingSet = max(0, out.Memory-first("total_inactive_file", "inactive_file"))
	out.RSS = first("total_rss", "anon")
	out.Pids = int64(u.Pids.Current)
}

// traffic is what went over a pod's own interface, whatever it is called.
func (d *Driver) traffic(id string, s *sandbox, out *driver.Stats) error {
	if s.Config.HostNetwork || !s.Ready {
		return nil
	}
	all, err := network.Stats(d.namespace(id, "net"))
	for _, t := range all {
		out.Network.RxBytes += t.RxBytes
		out.Network.RxErrors += t.RxErrors
		out.Network.TxBytes += t.TxBytes
		out.Network.TxErrors += t.TxErrors
	}
	return err
}
