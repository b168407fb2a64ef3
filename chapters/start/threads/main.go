// Command threads shows that some of what seems to belong to a process belongs to
// one of its threads, and why Go code that changes it locks its thread.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

func main() {
	home, _ := os.Getwd()
	same := func() string {
		if wd, _ := unix.Getwd(); wd == home {
			return "where the process started"
		} else {
			return wd
		}
	}
	var done sync.WaitGroup
	moved := make(chan bool)
	done.Go(func() {
		// From here on this goroutine keeps this thread, and no other gets it. There is
		// no Unlock: a thread that was changed must not go back to the pool.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			fmt.Fprintln(os.Stderr, "threads: unshare:", err)
		}
		unix.Chdir("/")
		fmt.Println("locked goroutine:", same())
		close(moved)
	})
	<-moved
	done.Go(func() { fmt.Println("another goroutine:", same()) })
	done.Wait()
	fmt.Println("main:", same())
}
