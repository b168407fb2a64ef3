package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestLimit_BadInput(t *testing.T) {
	need(t)
	dir := t.TempDir()
	check.NoError(t, "write", os.WriteFile(dir+"/plain", nil, 0o644))
	check.NoError(t, "write", os.WriteFile(dir+"/garbage", []byte{0}, 0o755))
	cases := []struct {
		args []string
		want int
		says string
	}{
		{nil, 125, "no command"},
		{[]string{"--"}, 125, "no command"},
		{[]string{"--memory"}, 125, "memory"},
		{[]string{"--memory", "64Q", "--", "x"}, 125, `"64Q"`},
		{[]string{"--memory", "-1", "--", "x"}, 125, `"-1"`},
		{[]string{"--memory", "0", "--", "x"}, 125, `"0"`},
		{[]string{"--memory", "M", "--", "x"}, 125, `"M"`},
		{[]string{"--memory", "1.5G", "--", "x"}, 125, `"1.5G"`},
		{[]string{"--memory", "9999999999T", "--", "x"}, 125, "8 EiB"},
		{[]string{"--cpus", "-0.5", "--", "x"}, 125, `"-0.5"`},
		{[]string{"--cpus", "NaN", "--", "x"}, 125, `"NaN"`},
		{[]string{"--cpus", "0.0001", "--", "x"}, 125, "0.001"},
		{[]string{"--cpus", "1e99", "--", "x"}, 125, `"1e99"`},
		{[]string{"--cpus", "two", "--", "x"}, 125, `"two"`},
		{[]string{"--pids", "0", "--", "x"}, 125, `"0"`},
		{[]string{"--pids", "3.5", "--", "x"}, 125, `"3.5"`},
		{[]string{"--stats=soon", "--", "x"}, 125, `"soon"`},
		{[]string{"--stats=1ns", "--", "x"}, 125, "10ms"},
		{[]string{"--nosuch", "--", "x"}, 125, "nosuch"},
		{[]string{"--", "no-such-program"}, 127, "no-such-program"},
		{[]string{"--", dir + "/nowhere"}, 127, dir + "/nowhere"},
		{[]string{"--", dir + "/plain"}, 126, dir + "/plain"},
		{[]string{"--", dir}, 126, dir},
	}
	if sandbox.OwnGroup.Has() == nil {
		cases = append(cases, cases[0])
		cases[len(cases)-1].args, cases[len(cases)-1].want, cases[len(cases)-1].says = []string{"--", dir + "/garbage"}, 126, dir+"/garbage"
	}
	for _, c := range cases {
		_, errs, status := limited(t, c.args)
		did := "limit " + strings.Join(c.args, " ")
		check.Equal(t, "the exit status of "+did+" ("+strings.TrimSpace(errs)+")", c.want, status)
		check.True(t, "stderr of "+did, strings.HasPrefix(errs, "limit: ") && strings.Count(errs, "\n") == 1 && strings.Contains(errs, c.says),
			errs, "one line that holds "+c.says)
	}
	out, errs, status := limited(t, []string{"--help"})
	check.True(t, "limit --help", status == 0 && errs == "" && strings.Contains(out, "--memory"), out+errs, "the flags on stdout")
}

func TestLimit_NoGroupToBeHad(t *testing.T) {
	need(t)
	cmd := exec.Command("/proc/self/exe", "test:nogroup", "")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check.Within(t, "limit where every group is read-only", "it to end", func() (int, error) { return 0, cmd.Run() })
	check.Equal(t, "the exit status", 125, cmd.ProcessState.ExitCode())
	says := errs.String()
	check.True(t, "stderr", strings.HasPrefix(says, "limit: ") && strings.Count(says, "\n") == 1 && strings.Contains(says, "use root"), says, "one line that says how to get one")
}
