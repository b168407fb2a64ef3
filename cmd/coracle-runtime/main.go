// Coracle-runtime is the small binary: an OCI runtime, the first process of each
// container until its program takes over, and the shim beside it.
//
//	coracle-runtime [--root DIR] [--log FILE] COMMAND …
//
// `coracle-runtime help` lists the commands; they are runc's.
package main

import (
	"os"

	"coracle/04-runtime/oci"
	"coracle/04-runtime/shim"
)

func main() {
	oci.Init()
	shim.Program()
	os.Exit(oci.Main(os.Args))
}
