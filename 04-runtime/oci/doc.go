// Package oci is an OCI runtime: it makes a container of a bundle, a folder with a
// config.json and a root file system, as the runtime-spec says, and answers to the
// command line that containerd and dockerd speak.
//
// Nothing stays running but the container. Create ends when the container's first
// process waits at a barrier, all set up; Start lets it through; who called Create
// (containerd's shim, as a subreaper) becomes its parent.
//
//	create                                     the container's init: this binary once more
//	clone in its namespaces ─────────────────▶ waits for its job
//	ids, cgroup, rlimits
//	the job: spec, state, filter ─── sync ───▶ root of its user namespace, session,
//	                                           cgroup namespace, prepareRoot (mounts, devices)
//	prestart, createRuntime ◀────── "mounted"
//	"go" ────────────────────────────────────▶ createContainer, enterRoot (pivot), terminal,
//	                                           host name, sysctls, finishRoot (masks),
//	                                           setupProcess, the program is looked up, lastFilter
//	state.json; ends ◀────────────── "ready"   opens exec.fifo for writing …
//	start
//	opens exec.fifo for reading ─────────────▶ … and gets no further before this
//	poststart                                  startContainer, execve
//
// Guarantees:
//   - a Create that fails leaves no process, mount, cgroup or file; a program that
//     cannot be executed fails Create already, not Start;
//   - of several Starts one wins; a signal goes to the process that was created and
//     never to another that has got its PID since (state.json keeps its start time);
//   - the container's init has no descriptor of the caller's but stdio and those that
//     --preserve-fds names, and nothing in the container can change this binary
//     through /proc/PID/exe (CVE-2019-5736).
//
// Caveats: checkpoint and restore are missing, as are Intel RDT and devices of other
// machines' kinds (vm). --systemd-cgroup is refused; engines have an option for that.
//
// The full-size system: runc, create.go and libcontainer/{process,standard_init}_linux.go;
// crun, src/libcrun/container.c.
package oci
