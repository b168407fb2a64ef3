package oci

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// updateFlags are limits one by one; those that were not given stay as they are.
type updateFlags struct {
	memory, reservation, swap, pids *int64
	period, shares                  *uint64
	quota                           *int64
	cpus, mems                      string
	resources                       string
}

func setUpdateFlags(s *flag.FlagSet, f *flags) {
	u := &f.update
	number := func(p **int64) func(string) error {
		return func(text string) error {
			n, err := bytes64(text)
			*p = &n
			return err
		}
	}
	unsigned := func(p **uint64) func(string) error {
		return func(text string) error {
			n, err := strconv.ParseUint(text, 10, 64)
			*p = &n
			return err
		}
	}
	for _, name := range []string{"resources", "r"} {
		s.StringVar(&u.resources, name, "", "file with linux.resources as JSON, - for stdin; other flags are not looked at then")
	}
	s.Func("memory", "limit in bytes, or as 64M", number(&u.memory))
	s.Func("memory-reservation", "soft limit", number(&u.reservation))
	s.Func("memory-swap", "memory and swap together; -1: no limit", number(&u.swap))
	s.Func("pids-limit", "how many processes", number(&u.pids))
	s.Func("cpu-period", "in microseconds", unsigned(&u.period))
	s.Func("cpu-quota", "in microseconds a period", number(&u.quota))
	s.Func("cpu-share", "weight, 2 to 262144", unsigned(&u.shares))
	s.StringVar(&u.cpus, "cpuset-cpus", "", "0-1,3")
	s.StringVar(&u.mems, "cpuset-mems", "", "0-1,3")
}

func (c *cli) update(f *flags, args []string) (int, error) {
	u, r := f.update, new(specs.LinuxResources)
	if u.resources != "" {
		in := os.Stdin
		if u.resources != "-" {
			file, err := os.Open(u.resources)
			if err != nil {
				return 0, err
			}
			defer file.Close()
			in = file
		}
		b, err := io.ReadAll(in)
		if err == nil {
			err = json.Unmarshal(b, r)
		}
		if err != nil {
			return 0, fmt.Errorf("--resources: %w", err)
		}
		return 0, c.Update(args[0], r)
	}
	if u.memory != nil || u.reservation != nil || u.swap != nil {
		r.Memory = &specs.LinuxMemory{Limit: u.memory, Reservation: u.reservation, Swap: u.swap}
	}
	if u.period != nil || u.quota != nil || u.shares != nil || u.cpus != "" || u.mems != "" {
		r.CPU = &specs.LinuxCPU{Period: u.period, Quota: u.quota, Shares: u.shares, Cpus: u.cpus, Mems: u.mems}
	}
	if u.pids != nil {
		r.Pids = &specs.LinuxPids{Limit: u.pids}
	}
	return 0, c.Update(args[0], r)
}

// bytes64 reads "67108864", "64M" or "-1".
func bytes64(text string) (int64, error) {
	number, unit := text, int64(1)
	if i := strings.IndexAny(text, "kKmMgG"); i > 0 {
		number, unit = text[:i], map[byte]int64{'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[text[i]|0x20]
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of bytes, as 67108864 or 64M", text)
	}
	return n * unit, nil
}
