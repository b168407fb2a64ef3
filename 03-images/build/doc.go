// Package build makes an image from a Dockerfile.
//
//	text ── Parse ──▶ stages ── Needed ──▶ in order, those that the target needs
//	stage ── Plan ──▶ steps, and the config that results        pure
//	step ── Key ────▶ was it done before? then its layer is known
//	                  if not: mount a snapshot, run or copy, commit what changed
//
// Instructions are of two kinds. Most change the config alone (ENV, CMD, LABEL):
// what comes of them is known before anything runs. RUN, COPY, ADD and WORKDIR
// change files: each is a Step and makes a layer.
//
// The cache is keyed as BuildKit's is: a RUN by what it is told and by the steps
// before it, never by what it does; a COPY by the content of what it copies, never
// by times; ENV, USER and WORKDIR through the steps that see them; ARG likewise,
// and the arguments for a proxy not at all; LABEL, CMD and the like not at all.
//
// Guarantees:
//   - the same Dockerfile, context and arguments give the same digests as far as the
//     programs that RUN do: no time later than SOURCE_DATE_EPOCH (0 where it is not
//     set) is in a layer or in the config;
//   - a second build of what has not changed runs nothing;
//   - COPY reads nothing outside the context and writes nothing outside the image;
//   - a program that RUN starts sees the image, its arguments and nothing of the
//     caller's environment or files;
//   - a build that is killed leaves a snapshot that Collect removes, and no mount.
//
// Caveats. Stages and steps run one after another. Each build reads the whole of
// what it copies: nothing is remembered by a file's time; and it reads it twice, for
// the key and for the copy: a build whose context changes in between fails. Of a hard
// link each name becomes a file. A RUN has its caller's network unless it is to have
// none, and with it the caller's abstract sockets (unix(7)). Not here, each refused by name: ADD of URLs and git repositories,
// RUN --mount, --security and --device, COPY --parents, symbolic --chmod, ONBUILD
// with --from. COPY --link is a COPY. With a single id every program runs as root, and a chown in one is
// refused by the kernel.
//
// In full size this is BuildKit: frontend/dockerfile/dockerfile2llb/convert.go
// (Plan), solver/ (which steps are needed, the keys), solver/llbsolver/ops (exec.go,
// file.go), cache/contenthash (what a COPY's key is made of).
package build
