// Command lab is the workshop's own tool; see ./lab help.
package main

import (
	"fmt"
	"os"

	"coracle/internal/workshop"
)

func main() {
	t, err := workshop.Find(".")
	if err == nil && len(os.Args) > 2 && os.Args[1] == "dev" && os.Args[2] == "gen" {
		var changed []string
		changed, err = t.Generate()
		fmt.Println(changed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}
