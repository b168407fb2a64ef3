package images

import (
	"context"
	"io"

	"coracle/internal/exercise"
)

// Exercise 3.4: a change as a reproducible layer
//
// What a container changed is in the upper folder of its overlay: files that are new
// or were copied up, a character device 0:0 for each that is gone, an attribute at a
// folder that hides all below it. A layer is a tar, and says the same by names:
//
//	upper folder                        layer
//	etc/            a folder            etc/
//	etc/motd        a file              etc/motd
//	etc/issue       device 0:0          etc/.wh.issue     an empty file
//	opt/            opaque              opt/, then opt/.wh..wh..opq
//
// A layer's name is its digest. So the same change must be the same bytes, whoever
// made it, when and where: nothing may come from the machine, from the clock, or
// from the order in which a folder happens to list its files.
//
// Rules: image-spec, layer.md, "Representing Changes"; Linux,
// Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
//
// Delete this line when you start:
var _ = todo("3.4")

// Diff writes the upper folder of an overlay as a layer, a plain tar with its end. The
// same tree gives the same bytes, whoever made it, whenever:
//
//   - a folder before what is in it, and that in lexical order of its names ("a" and
//     all below it before "a.b"); upper itself is "./", other folders end in a slash;
//   - times of change only, in whole seconds (cut, not rounded, and so is o.Epoch);
//     those later than o.Epoch become it, earlier ones stay; without an Epoch
//     (IsZero: 1970 is one) all stay;
//   - owners as numbers, no names; modes with set-user-ID, set-group-ID and sticky bits;
//   - attributes as openEntry gives them; tar.FormatPAX, whose records it fills in.
//
// What overlay deleted, a character device 0:0 (one, with many names), is an empty file
// .wh.NAME; a folder that hides all below it is followed by .wh..wh..opq in it (in upper
// itself without "./"). Both are without mode, owner or time. Symbolic links are shipped
// as they are and not followed. Of a file with several names (links and fifos too) the
// first in the order has the content, the others are hard links to it, with its mode,
// owner and time and without attributes. Sockets are left out. A file that grows while
// it is read is cut to the size in its header.
//
//	a-first, b/second (two names), gone (deleted) → ./  a-first  b/  b/second → a-first  .wh.gone
//
// Errors: one line, `diff: "NAME": …`: a device node, any but 0:0; a name that begins
// with .wh., which would delete something elsewhere; a file that went or became shorter
// while it was read; ctx.Err(), which is asked for at each name; what w fails with, also
// at the archive's end (errors.Is finds both).
//
// May use: os.OpenRoot; readNames, which lists a folder in no order; openEntry, for
// files and folders only (to open a fifo waits for who writes to it); ownerOf, for
// the rest; shipFile, for a file whose header has its size; shortName and because,
// which keep an error to one line; whiteoutPrefix, opaqueName.
//
// Done when: `./lab test 3.4` is green.
func Diff(ctx context.Context, upper string, w io.Writer, o DiffOptions) error {
	return exercise.Unwritten("3.4")
}
