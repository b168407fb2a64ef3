// Alternative: numbers of any size, so that nothing has to be proved about overflow.
package cgroups

import (
	"fmt"
	"math/big"
	"time"
)

// refScale returns n·a/b, rounded down, within lo and hi.
func refScale(n, a, b, lo, hi int64) int64 {
	r := new(big.Int).Mul(big.NewInt(n), big.NewInt(a))
	r.Div(r, big.NewInt(b))
	switch {
	case r.Cmp(big.NewInt(lo)) < 0:
		return lo
	case r.Cmp(big.NewInt(hi)) > 0:
		return hi
	}
	return r.Int64()
}

func SharesFromMilliCPU(milli int64) int64 { return refScale(milli, 1024, 1000, 2, 1<<18) }

func WeightFromShares(shares int64) int64 {
	return 1 + refScale(refScale(shares, 1, 1, 2, 1<<18)-2, 9999, 1<<18-2, 0, 9999)
}

func QuotaFromMilliCPU(milli int64, period time.Duration) time.Duration {
	return time.Duration(refScale(milli, period.Microseconds(), 1000, 1000, 1<<50)) * time.Microsecond
}

func (c CPU) Values() (values []Value, err error) {
	if c.Request < 0 {
		return nil, fmt.Errorf("a request of %d milli-CPUs", c.Request)
	}
	if c.Limit < -1 || c.Limit > 1<<32 {
		return nil, fmt.Errorf("a limit of %d milli-CPUs", c.Limit)
	}
	if c.Period == 0 {
		c.Period = time.Second / 10
	}
	if c.Period < time.Millisecond || c.Period > time.Second {
		return nil, fmt.Errorf("a period of %v", c.Period)
	}
	if c.Request != 0 {
		values = append(values, Value{"cpu.weight", fmt.Sprint(WeightFromShares(SharesFromMilliCPU(c.Request)))})
	}
	switch c.Limit {
	case 0:
	case Unlimited:
		values = append(values, Value{"cpu.max", fmt.Sprint("max ", c.Period.Microseconds())})
	default:
		q := QuotaFromMilliCPU(c.Limit, c.Period).Microseconds()
		values = append(values, Value{"cpu.max", fmt.Sprint(q, c.Period.Microseconds())})
	}
	return values, nil
}
