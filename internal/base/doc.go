// Package base makes the root file system that chapters run in when the reader
// names no other: a shell and core tools built from internal/box, and the few
// files under /etc that programs look for. Nothing is downloaded but Go modules.
//
// Model: the user's cache directory holds coracle/base/HASH/rootfs, where HASH
// covers the tools' sources, go.mod, go.sum, the Go version and the layout, and
// the link coracle/base/current to the newest HASH. Ensure builds and links,
// Current only reads, so that a small program pays nothing for the builder.
//
// Guarantees: a rootfs is complete once it has its name, for it is built beside
// and renamed; two builders at once end with one of the two equal results; the
// directory belongs to the caller. CORACLE_BASE names another root for both.
//
// Caveats: the root is shared by all who use it, so mount it read-only or below
// an overlay; a set of links is all it knows of packages. Prune does not ask
// whether a running container still uses an older root.
//
// The full-size counterpart is what debootstrap, or an image's first layer,
// provides.
package base
