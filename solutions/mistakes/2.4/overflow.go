// Mistake: the product of a large number and 1024 overflows
package cgroups

import (
	"fmt"
	"strconv"
	"time"
)

const (
	refMinShares, refMaxShares = 2, 262144 // the range of v1's cpu.shares
	refMinQuota                = 1000      // µs: the kernel refuses less
	refPeriod                  = 100 * time.Millisecond
)

func SharesFromMilliCPU(milli int64) int64 {
	return min(max(milli*1024/1000, refMinShares), refMaxShares)
}
func WeightFromShares(shares int64) int64 {
	shares = min(max(shares, refMinShares), refMaxShares)
	return 1 + (shares-refMinShares)*9999/(refMaxShares-refMinShares)
}
func QuotaFromMilliCPU(milli int64, period time.Duration) time.Duration {
	us := period.Microseconds()
	return time.Duration(max(milli/1000*us+milli%1000*us/1000, refMinQuota)) * time.Microsecond
}
func (c CPU) Values() ([]Value, error) {
	period := c.Period
	if period == 0 {
		period = refPeriod
	}
	switch {
	case c.Request < 0:
		return nil, fmt.Errorf("cpu request %dm: want 0 or more", c.Request)
	case c.Limit < Unlimited || c.Limit > 1<<32:
		return nil, fmt.Errorf("cpu limit %dm: want 0 or more, or Unlimited", c.Limit)
	case period < time.Millisecond || period > time.Second:
		return nil, fmt.Errorf("cpu period %v: want 1ms to 1s", period)
	}
	var values []Value
	if c.Request > 0 {
		weight := WeightFromShares(SharesFromMilliCPU(c.Request))
		values = append(values, Value{"cpu.weight", strconv.FormatInt(weight, 10)})
	}
	if c.Limit != 0 {
		quota := "max"
		if c.Limit != Unlimited {
			quota = strconv.FormatInt(QuotaFromMilliCPU(c.Limit, period).Microseconds(), 10)
		}
		values = append(values, Value{"cpu.max", fmt.Sprintf("%s %d", quota, period.Microseconds())})
	}
	return values, nil
}
