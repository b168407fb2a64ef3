package network

import (
	"github.com/vishvananda/netlink"
)

// Traffic is what went over an interface since it was made.
type Traffic struct{ RxBytes, RxErrors, TxBytes, TxErrors uint64 }

// Stats counts for each interface of a network namespace but lo, by name, as a process
// in it would see it: what it receives is Rx.
func Stats(netns string) (map[string]Traffic, error) {
	ns, err := openNetNS(netns)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	links, err := whole(ns.LinkList)
	if err != nil {
		return nil, err
	}
	all := map[string]Traffic{}
	for _, l := range links {
		a := l.Attrs()
		if s := a.Statistics; s != nil && a.Name != "lo" && l.Type() != "sit" && l.Type() != "ip6tnl" {
			all[a.Name] = trafficOf(s)
		}
	}
	return all, nil
}

func trafficOf(s *netlink.LinkStatistics) Traffic {
	return Traffic{s.RxBytes, s.RxErrors, s.TxBytes, s.TxErrors}
}
