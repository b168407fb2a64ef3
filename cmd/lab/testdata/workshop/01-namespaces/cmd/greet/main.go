// Command greet greets: greet [-x] NAME; it exits with 7.
package main

import (
	"fmt"
	"os"

	namespaces "coracle/01-namespaces"
)

func main() {
	text, err := namespaces.Greet(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "greet:", err)
		os.Exit(125)
	}
	fmt.Println(text, os.Args[1:])
	os.Exit(7)
}
