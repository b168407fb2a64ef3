// Package shim is the small process that stands beside each container, so that the
// agent may end, be killed or be replaced while containers run on.
//
//	agent ── Start ──▶ shim ── oci.Create ──▶ the container's init, its child
//	  │                 │ ◀── pipes or terminal ──┘
//	  │ shim.sock       ├──▶ crilog: the log file
//	  └────────────────▶│    state.json: who, since when, how it ended
//	   (or the next     └──▶ ends once the container has, and all is written down
//	    agent)
//
// A container has a folder. In it are
//
//	config.json   the bundle
//	shim.json     a Config: what the shim is to do
//	state.json    a State; replaced whole
//	shim.sock     the protocol: see serve.go
//	shim.err      what the shim itself had to say, should it crash
//
// Guarantees:
//   - whatever becomes of the agent, the container runs on, its output goes to its log,
//     and its exit is in state.json, on the disk, before the shim ends;
//   - who has only the folder finds the shim again (Find), and never takes another
//     process for it: a process is a PID and its start time;
//   - a container has one shim, by a lock on its folder that ends with the shim;
//   - what the container's process leaves running, in its group, ends with it, and the
//     log is complete when the shim says that the container has exited.
//
// A shim that is killed cannot tell how its container ends: nobody but a parent learns
// that. Its container has lost its standard streams, too. So a container without a shim is
// Lost: who finds it kills what is left of it (oci.Runtime.Delete) and reports that.
//
// Caveats: who attaches and does not read loses the connection once 1 MiB waits; the
// container never waits for him. Nothing is replayed to who attaches later: that is in
// the log. Where there is neither a group nor a PID namespace of the container's own, what
// its first process leaves lives on; its output is taken for two more seconds.
//
// In full size: containerd, cmd/containerd-shim-runc-v2; conmon of CRI-O.
package shim
