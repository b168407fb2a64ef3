// Container is coracle-runtime by the name that chapter 4 runs it by:
//
//	./lab run 4 container run --bundle DIR ID
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
