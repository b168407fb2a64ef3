// Command box is the base image's only binary: a shell and core tools.
package main

import (
	"os"

	"coracle/internal/box"
)

func main() { box.Main(os.Args) }
