package main

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"coracle/internal/check"
)

// A spec may join what exists instead of making it.
func TestIsolate_SpecJoins(t *testing.T) {
	needAll(t)
	dir := t.TempDir()
	write := func(namespaces string) string {
		text := `{"args":["/bin/sh","-c","readlink /proc/self/ns/net /proc/self/ns/uts"],"env":["PATH=/usr/bin:/bin"],"namespaces":[` + namespaces + `]}`
		check.NoError(t, "write a spec", os.WriteFile(dir+"/spec.json", []byte(text), 0o644))
		return dir + "/spec.json"
	}
	_, flags := hostRoot(t)
	cmd := command(sh(append(flags, "--name", "joined"), "readlink /proc/self/ns/net; read x")...)
	in, err := cmd.StdinPipe()
	check.NoError(t, "make a pipe", err)
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start isolate", cmd.Start())
	net, err := check.Within(t, "isolate", "its network namespace", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })
	check.NoError(t, "read its network namespace", err)
	var pid string
	check.Eventually(t, "isolate ls", "joined and its PID", func() bool {
		list, _, _ := isolated(t, "ls")
		_, after, ok := strings.Cut(list, "joined")
		if ok {
			pid = strings.Fields(after)[0]
		}
		return ok
	})
	mine, err := os.Readlink("/proc/self/ns/uts")
	check.NoError(t, "read my namespace", err)

	said, errs, status := isolated(t, "--spec", write(`{"type":"net","path":"/proc/`+pid+`/ns/net"},{"type":"uts"}`))
	got := strings.Split(said, "\n")
	check.True(t, "a spec that joins the network of another and makes a UTS namespace", status == 0 && got[0]+"\n" == net && got[1] != mine,
		said+errs, "0, "+net+"and another UTS namespace than "+mine)
	in.Close()
	check.Within(t, "close its input", "it to end", func() (struct{}, error) { return struct{}{}, cmd.Wait() })
}
