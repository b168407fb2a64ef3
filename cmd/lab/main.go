// Command lab is the workshop's own tool; see ./lab help.
//
// It links no chapter: a reader's file that does not compile must never keep
// the tool from saying so.
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
