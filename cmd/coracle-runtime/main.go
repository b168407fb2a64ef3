// Coracle-runtime is the small binary: an OCI runtime, and the first process of each
// container until its program takes over.
//
//	coracle-runtime [--root DIR] [--log FILE] COMMAND …
//
// `coracle-runtime help` lists the commands; they are runc's.
package main

import (
	"os"

	"coracle/04-runtime/oci"
)

func main() {
	oci.Init()
	os.Exit(oci.Main(os.Args))
}
