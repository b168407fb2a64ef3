// Package seccomp compiles the seccomp profiles of the OCI runtime-spec
// (config-linux.md, "Seccomp") to classic BPF.
//
// A program asks, in this order: which architecture? which number? which
// arguments? The numbers are searched as a binary tree of spans, so that a profile
// of 400 names costs 9 comparisons a call, and the kernel, which tries every number
// once when it installs the program (kernel/seccomp.c, seccomp_cache_prepare), is
// done soon.
//
// Guarantees:
//   - a call for an architecture that the profile does not list ends the process;
//     so do x32 calls if only x86_64 is listed (both bear the same arch);
//   - for one name, the first rule without conditions decides; else the first rule
//     of which every condition holds; else the default. Two conditions on one
//     argument are two rules, as with runc;
//   - unknown names are ignored: profiles name the calls of all architectures. An
//     unknown action, operator, flag or architecture is an error;
//   - a call newer than every one that the profile names fails with ENOSYS, unless
//     the default lets calls through: EPERM would keep a C library from falling
//     back to the older call (runc: libcontainer/seccomp/patchbpf);
//   - arguments are compared with 64 bits, on 32-bit ABIs with 32.
//
// Caveats: SCMP_ACT_NOTIFY is refused, since nothing here could answer. Rules on
// socket or semop do not reach into socketcall and ipc, over which 32-bit x86
// makes these calls too: libseccomp does that. A kernel takes an int as the lower
// half of its argument: a rule that denies one value needs SCMP_CMP_MASKED_EQ, or
// a bit above walks around it.
//
// Full size: libseccomp (src/gen_bpf.c), and runc's use of it
// (libcontainer/seccomp/seccomp_linux.go).
package seccomp
