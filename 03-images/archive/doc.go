// Package archive reads and writes images as one tar file.
//
// There are two layouts, and many archives are both at once:
//
//	docker save        manifest.json  which images: names, config, layers by file name
//	                   HEX.json, …    configs
//	                   ID/layer.tar   layers, not compressed; links where two are the same
//	OCI image layout   oci-layout, index.json, blobs/sha256/HEX
//
// Load takes either, compressed or not, from a file or a pipe; where both are
// present it takes the second, which names everything by digest. Save writes both
// over the same blobs, so that docker load (any version), skopeo and umoci read it.
//
// Guarantees:
//   - an image gets its name when all of it is in the store, and has been verified:
//     by digest, or by diff ID where a docker save archive names no digest;
//   - nothing of an archive is written anywhere but into blobs: its names are only
//     looked up, never opened;
//   - the same images make the same archive, byte by byte.
//
// Caveats: a pipe or a compressed archive is written to the disk once before it is
// read, because manifest.json comes last; of an index, what the archive lacks is
// left out, as long as one platform is whole.
//
// In full size: moby, image/tarexport; containerd, core/images/archive.
package archive
