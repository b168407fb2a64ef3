// Package probe asks a container, again and again, how it is.
//
//	Worker.Run    one probe of one container: when to ask, what the answers add up to
//	Tally         the adding up                                        pure
//	Target.Check  one question: exec, HTTP, TCP or gRPC
//	Target.Hook   a lifecycle hook, which asks nothing but works alike
//
// Guarantees:
//   - a probe never has two questions under way, however long one takes;
//   - a question that hangs is a failure at its timeout, and one more at each period
//     after it;
//   - liveness and readiness do not ask before the startup probe, if there is one, has
//     succeeded; a startup probe asks no more once it has.
//
// A worker belongs to one container, not to its name in the pod: a restarted container
// gets new workers, with counts that begin at nothing.
//
// Caveats: there is no random delay at the start, by which a kubelet that was restarted
// spreads the probes of all its pods. gRPC is written out on HTTP/2, 40 lines instead
// of a library, and speaks nothing but the health protocol.
//
// In full size: pkg/kubelet/prober (worker.go, prober.go), pkg/probe.
package probe
