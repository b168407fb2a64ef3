// Package network connects pods: a network namespace each, a veth pair to the node, an
// address of the node's range, routes between them, a way out, and ports of the node
// that lead in.
//
//	      pod (10.88.0.7/32)                        the node
//	┌─ eth0 ──────────────────────┐     ┌─ coracle1f00ba12 ─────────────────────────┐
//	│ default via 169.254.1.1,    │veth │ 10.88.0.7 dev coracle1f00ba12             │
//	│   whose MAC is the other    ├─────┤   and so on, a route for each pod         │
//	│   end's (and fe80::1)       │     │ unreachable 10.88.0.0/24: the other ones  │
//	└─────────────────────────────┘     │ 10.88.0.1 on lo: the node, as pods see it │
//	                                    │ table inet coracle-NODE: egress, ports    │
//	                                    └───────────────────────────────────────────┘
//
// There is no bridge. On one, packets between two pods never reach the node's IP
// layer, and an answer to a translated address goes past the one who translated it,
// unless br_netfilter takes bridged packets through nft after all. Routed, all of them
// pass, and a packet with another pod's source address is known by its route.
//
// The pure part: Range (who has which address), Rules (what the nft table says),
// Resolver and HostsFile. The rest is kernel: Link, Node, namespaces. Where there is no
// nft, a Relay carries each port. An ordinary user's agent, in namespaces of its own,
// gets out by an Uplink and has its ports on the machine by Lend and Borrow. The folder
// cni does Node's work by CNI plugins instead.
//
// Guarantees:
//   - an address is saved before it is used, so that nobody gets it twice, also after a
//     crash; one that was given back is used again as late as can be;
//   - everything can be repeated: what is there is completed, what is gone stays gone;
//   - an Add that fails leaves nothing, a Remove leaves nothing at all.
//
// Caveats: one Node in a network namespace, which is best one of the agent's own. It
// turns on forwarding there and leaves it on. A port of ::1 cannot lead to a pod: the
// kernel never lets that address out of lo.
//
// In full size: projectcalico/calico (felix/dataplane/linux), the CNI plugins ptp,
// host-local and portmap, and pkg/kubelet/network/dns in Kubernetes.
package network
