package cgroups

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestSharesFromMilliCPU(t *testing.T) {
	exercise.Need(t, "2.4")
	for _, c := range []struct{ milli, want int64 }{
		{500, 512}, {1000, 1024}, {250, 256}, {1500, 1536}, {3, 3}, {0, 2}, {1, 2}, {-5, 2}, {255_999, 262142}, {256_000, 262144}, {1 << 20, 262144}, {1 << 62, 262144}, {math.MaxInt64, 262144},
	} {
		got := SharesFromMilliCPU(c.milli)
		check.Equal(t, fmt.Sprintf("SharesFromMilliCPU(%d)", c.milli), c.want, got,
			check.Often(c.milli > 1<<50, "the product of a large number and 1024 overflows"),
			check.Often(c.milli > 1 && got == 2, "dividing before multiplying loses everything below one CPU"),
			check.Often(c.milli <= 1, "shares below 2 are refused by the kernel"))
	}
}

func TestWeightFromShares(t *testing.T) {
	exercise.Need(t, "2.4")
	for _, c := range []struct{ shares, want int64 }{{2, 1}, {1024, 39}, {512, 20}, {2048, 79}, {262144, 10000}, {0, 1}, {1 << 40, 10000}} {
		got := WeightFromShares(c.shares)
		check.Equal(t, fmt.Sprintf("WeightFromShares(%d)", c.shares), c.want, got,
			check.Often(got == c.shares, "shares are written as a weight; they have another range"))
	}
}

func TestQuotaFromMilliCPU(t *testing.T) {
	exercise.Need(t, "2.4")
	for _, c := range []struct {
		milli        int64
		period, want time.Duration
	}{
		{500, 100 * time.Millisecond, 50 * time.Millisecond},
		{2500, 100 * time.Millisecond, 250 * time.Millisecond},
		{333, 100 * time.Millisecond, 33300 * time.Microsecond},
		{999, 1234 * time.Microsecond, 1232 * time.Microsecond},
		{200, 10 * time.Millisecond, 2 * time.Millisecond},
		{1, 100 * time.Millisecond, time.Millisecond},
		{9, 100 * time.Millisecond, time.Millisecond},
		{1 << 32, time.Second, 1 << 32 * time.Millisecond},
	} {
		got := QuotaFromMilliCPU(c.milli, c.period)
		check.Equal(t, fmt.Sprintf("QuotaFromMilliCPU(%d, %v)", c.milli, c.period), c.want, got,
			check.Often(got < time.Millisecond, "a quota below 1 ms is refused by the kernel"),
			check.Often(got%time.Microsecond != 0, "a quota has whole microseconds"))
	}
}

func TestCPU_Values(t *testing.T) {
	exercise.Need(t, "2.4")
	for _, c := range []struct {
		cpu  CPU
		want map[string]string
	}{
		{CPU{Request: 1000, Limit: 500}, map[string]string{"cpu.weight": "39", "cpu.max": "50000 100000"}},
		{CPU{Request: 100}, map[string]string{"cpu.weight": "4"}},
		{CPU{Limit: 2000, Period: 20 * time.Millisecond}, map[string]string{"cpu.max": "40000 20000"}},
		{CPU{Limit: 2, Period: 20 * time.Millisecond}, map[string]string{"cpu.max": "1000 20000"}},
		{CPU{Limit: Unlimited}, map[string]string{"cpu.max": "max 100000"}},
		{CPU{}, map[string]string{}},
	} {
		values, err := c.cpu.Values()
		check.NoError(t, fmt.Sprintf("%+v.Values", c.cpu), err)
		got := files(values)
		check.Equal(t, fmt.Sprintf("%+v.Values", c.cpu), c.want, got,
			check.Often(got["cpu.weight"] == "1024" || got["cpu.weight"] == "1000", "shares are written as a weight; they have another range"),
			check.Often(c.cpu.Limit == 2 && !strings.HasPrefix(got["cpu.max"], "1000 "), "a quota below 1 ms is refused by the kernel"),
			check.Often(c.cpu.Limit == Unlimited, "Unlimited is written as a number; the kernel's word is max"))
	}
	for _, c := range []struct {
		cpu  CPU
		says string
	}{{CPU{Limit: -2}, "-2"}, {CPU{Request: -1}, "-1"}, {CPU{Limit: 1<<32 + 1}, "4294967297"}, {CPU{Limit: 1, Period: 2 * time.Second}, "2s"}, {CPU{Limit: 1, Period: time.Microsecond}, "1µs"}} {
		_, err := c.cpu.Values()
		check.ErrorHas(t, fmt.Sprintf("%+v.Values", c.cpu), err, []string{c.says})
	}
}

func FuzzCPU(f *testing.F) {
	f.Add(int64(500), int64(1000))
	f.Fuzz(func(t *testing.T, milli, more int64) {
		exercise.Need(t, "2.4")
		a, b := min(milli, more), max(milli, more)
		wa, wb := WeightFromShares(SharesFromMilliCPU(a)), WeightFromShares(SharesFromMilliCPU(b))
		if wa < 1 || wb > 10000 || wa > wb {
			t.Fatalf("weights of %d and %d: %d and %d", a, b, wa, wb)
		}
	})
}

func TestCPU_QuotaHolds(t *testing.T) {
	exercise.Need(t, "2.4")
	g := ownGroup(t, "cpu")
	values, err := CPU{Request: 2000, Limit: 100}.Values()
	check.NoError(t, "Values", err)
	check.NoError(t, "write the limits", g.Set(values))
	begin := time.Now()
	status := spawn(t, g, "burn", "120ms").wait()
	wall := time.Since(begin)
	check.Equal(t, "burn's exit status", 0, status.ExitStatus())
	// 120 ms at 10 ms in each 100: after the first, eleven periods have to begin. A busy
	// host is late with a virtual machine's tick, by which the group runs on: hence 4.
	check.True(t, "120 ms of work at a tenth of a CPU", wall > 400*time.Millisecond, wall.String(), "at least 400ms",
		check.Often(true, "the quota is written per second, or in milliseconds"))
	stat, err := reader(t, g).Stat()
	check.NoError(t, "containerd's reading", err)
	check.True(t, "the times that the group was throttled", stat.GetCPU().GetNrThrottled() > 0, "0", "some")
	check.Equal(t, "cpu.weight", "79", read(t, g, "cpu.weight"))
}
