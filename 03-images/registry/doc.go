// Package registry serves a store as a registry: what docker, skopeo and a cluster's
// nodes pull from and push to.
//
//	reads   go-containerregistry's handler, over our blobs and a copy of our manifests
//	writes  ours: they must be on the disk, with a name, before they are answered
//
// An image that is pushed to /v2/app/manifests/1 has two names in the store,
// registry.internal/app:1 and registry.internal/app@sha256:…, as in any registry: it
// can be had by its digest when the tag has moved on. Both are names like others:
// `image ls` shows them, `image rm` takes them away, and what has one is not
// collected. The handler's copy is made anew whenever the store's names have changed,
// whoever changed them.
//
// Guarantees:
//   - what was answered with 201 is on the disk, and survives a restart;
//   - a manifest that names what is not there is refused;
//   - a blob that a client was told of (uploaded, mounted, found with HEAD) is not
//     collected before the manifest comes that names it: until then, at most for
//     Options.Keep, the store is held shared, and Collect waits;
//   - an upload is streamed to the disk, whatever its size.
//
// Caveats: nobody is asked who they are, so it listens on loopback, or behind
// something that asks; each change of a name is followed by reading all manifests
// again (some thousand are no matter); no deletion of blobs: `image gc` does that.
//
// In full size this is distribution/distribution: registry/handlers, and zot.
package registry
