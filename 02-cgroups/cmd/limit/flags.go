package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	cgroups "coracle/02-cgroups"
)

const help = `Run a command in a control group of its own, with limits.

  limit [flags] [--] COMMAND [ARG...]

Examples:
  limit --memory 64M --cpus 0.5 --pids 32 -- sh
  limit --cpus 0.2 --stats 1s -- sha256sum /dev/zero
  limit --memory 16M -- sh -c 'x=x; while :; do x=$x$x; done'

Flags:
  --memory SIZE       at most this, and no swap; K, M, G, T are powers of 1024
  --cpus N            at most N processors' time: 0.5, 2, 1.25 or 500m
  --pids N            at most N processes and threads
  --stats [INTERVAL]  print usage and pressure (default: every second), and the
                      total at the end

The exit status is the command's, 128+N if signal N ended it; 125: limit itself
failed; 126: the command cannot be executed; 127: it was not found.
`

type options struct {
	limits  cgroups.Limits
	shown   [3]string // memory, cpus and pids as they were given
	stats   time.Duration
	command []string
}

// parse reads the flags; nil options mean that help was all that was asked for.
func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("limit", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Func("memory", "", func(s string) (err error) { o.limits.Memory.Max, err = size(s); o.shown[0] = s; return })
	f.Func("cpus", "", func(s string) (err error) { o.limits.CPU.Limit, err = milliCPU(s); o.shown[1] = s; return })
	f.Func("pids", "", func(s string) (err error) { o.limits.Pids.Max, err = count(s); o.shown[2] = s; return })
	f.BoolFunc("stats", "", func(s string) (err error) { o.stats, err = interval(s); return })
	err := f.Parse(joinStats(args))
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stdout, help)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w (limit --help lists the flags)", err)
	}
	if o.command = f.Args(); len(o.command) == 0 || o.command[0] == "" {
		return nil, errors.New("no command: limit [flags] -- COMMAND (limit --help)")
	}
	return o, nil
}

// joinStats lets --stats have its value as the next word, if that is a duration.
func joinStats(args []string) []string {
	joined := []string{}
	for i := 0; i < len(args); i++ {
		if args[i] == "--" || !strings.HasPrefix(args[i], "-") && (i == 0 || !strings.HasPrefix(args[i-1], "-") || strings.Contains(args[i-1], "=")) {
			return append(joined, args[i:]...) // the command
		}
		if (args[i] == "--stats" || args[i] == "-stats") && i+1 < len(args) {
			if _, err := time.ParseDuration(args[i+1]); err == nil {
				joined = append(joined, args[i]+"="+args[i+1])
				i++
				continue
			}
		}
		joined = append(joined, args[i])
	}
	return joined
}

// size reads bytes: "64M" is 64 times 1024 times 1024, as docker has it.
func size(s string) (int64, error) {
	digits := strings.TrimRight(s, "BbIiKkMmGgTt")
	unit, ok := map[string]int64{"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}[strings.ToLower(strings.TrimRight(s[len(digits):], "BbIi"))]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil {
		return 0, errors.New("want bytes, or a whole number with K, M, G or T, such as 64M")
	}
	if n <= 0 || n > math.MaxInt64/unit {
		return 0, errors.New("want more than 0 and less than 8 EiB")
	}
	return n * unit, nil
}

// milliCPU reads processors, or thousandths of one with an m.
func milliCPU(s string) (int64, error) {
	scale := 1000.0
	if m, ok := strings.CutSuffix(s, "m"); ok {
		s, scale = m, 1
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("want a number of processors, such as 0.5, 2 or 500m")
	}
	if milli := math.Round(n * scale); milli >= 1 && milli <= 1<<32 {
		return int64(milli), nil
	}
	return 0, errors.New("want at least 0.001")
}

func count(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n <= 0 {
		return 0, errors.New("want a whole number above 0")
	}
	return n, nil
}

func interval(s string) (time.Duration, error) {
	if s == "true" {
		return time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 10*time.Millisecond {
		return 0, errors.New("want a duration of at least 10ms, such as 1s")
	}
	return d, nil
}
