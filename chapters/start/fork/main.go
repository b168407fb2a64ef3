// Command fork shows that fork makes a process and exec only changes what it runs.
package main

import (
	"fmt"
	"os"
	"os/exec"
)

// The first shell replaces itself by a second one, which compares its own process
// id ($$) with the first one's, its argument.
const script = `echo "child: the first program runs"
exec sh -c 'test $$ = $1 && echo "child: the second program runs, in the same process"; exit 7' sh $$`

func main() {
	child := exec.Command("sh", "-c", script)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil { // fork, then exec of sh in the child
		fmt.Fprintln(os.Stderr, "fork: start sh:", err)
		os.Exit(1)
	}
	err := child.Wait() // until then a child that has ended is a zombie
	fmt.Printf("parent: process %d ended: %v\n", child.Process.Pid, err)
}
