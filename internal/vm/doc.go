// Package vm runs programs of this checkout in a small virtual machine: QEMU, a distribution's kernel, cgroup v2 and
// nothing else. It is for hosts whose own kernel is old, has cgroup v1, or must not be trusted with an experiment, and
// for graders who want the same kernel for everybody.
//
// The guest's first root is an archive that this package writes: static binaries, the kernel modules with what they
// need, and a small init (cmd/vminit) that moves to a real root (tmpfs, or ext4 on a disk), hands out controllers, and
// runs the commands one after another. Each is born in a cgroup of its own; the ordinary user "learner" (uid 1000,
// subordinate ids from 100000) owns theirs, as systemd would delegate it. Output comes back in frames (package wire)
// over a virtio-serial port; the console is only for diagnosis.
//
//	host: Run ── memfd ──> QEMU: kernel ── initramfs ──> PID 1 ──> agent ──> your command
//	   └───────────────────────── socket · virtio-serial ────────────┘
//
// # Guarantees
//
//   - Only software emulation is assumed: no /dev/kvm, no root, no network but for the kernel's one download.
//   - Nothing stays behind. QEMU is given descriptors, not files, and dies with its caller; what the cache holds
//     (kernel, init, test binaries) is below os.UserCacheDir()/coracle/vm.
//   - A machine that does not boot is an error that shows the end of its console.
//
// # Caveats
//
//   - The guest is as slow as emulation is, about a tenth of the host: limits in tests must allow for that.
//   - It has no network beyond lo and no Go toolchain: a test that builds or downloads something cannot run there.
//   - tmpfs has user xattrs, which overlay mounts of ordinary users store their marks in, only from Linux 6.6: set DiskMB
//     for an ext4 root when the tests write such files.
//   - A kernel once downloaded is kept and never renewed; removing the cache's directory gets the distribution's newest.
//   - Packages tested in one run share a machine, one after the other; what a test leaves outside its cgroup stays.
//   - arm64, and kernels other than Debian's, follow the same rules but are tried less.
//
// In full size this is what kata-containers does (src/runtime/virtcontainers/qemu.go, src/agent), with an agent that speaks ttrpc
// over vsock; and virtme-ng, which shares the host's root instead of packing one.
package vm
