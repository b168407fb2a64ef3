// Package remote moves images between a store and a registry, over HTTP.
//
//	GET  /v2/NAME/manifests/TAG|DIGEST   what a name stands for
//	GET  /v2/NAME/blobs/DIGEST           config and layers; Range goes on
//	HEAD /v2/NAME/blobs/DIGEST           is it there?
//	POST /v2/NAME/blobs/uploads/         a place to send to, or ?mount=…&from=…
//	PUT  LOCATION?digest=DIGEST          the bytes
//	PUT  /v2/NAME/manifests/TAG|DIGEST   last: it names what must be there
//
// (distribution-spec, spec.md.) A registry that wants to know who asks answers 401
// and says in WWW-Authenticate how: with a password (Basic, RFC 7617) or a token from
// another server (Bearer; distribution, docs/spec/auth/token.md).
//
// Guarantees:
//   - nothing that a registry sends is believed: a manifest and a blob are what their
//     digest says, of the size that was announced, or they are not kept;
//   - an image gets its name when all of it is there, and on the disk;
//   - a download that broke off goes on where it was, also in the next process;
//   - credentials go to the registry that they are for and to the token server that
//     it names, over TLS unless the registry itself is spoken to in the clear, and
//     never after a redirect to another host.
//
// Caveats: credentials come from a file or the caller, not from a helper program
// (credHelpers) and not as identity tokens; an upload that broke off begins again; no
// mirrors; plain HTTP only to loopback addresses or to hosts that are named for it.
//
// In full size this is containerd: core/remotes/docker (resolver.go, fetcher.go,
// authorizer.go, pusher.go), and core/unpack.
package remote
