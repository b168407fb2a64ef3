package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"coracle/internal/check"
)

func newRange(t testing.TB, prefix string, reserved ...string) *Range {
	t.Helper()
	var addrs []netip.Addr
	for _, a := range reserved {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	r, err := NewRange(netip.MustParsePrefix(prefix), addrs...)
	check.NoError(t, "NewRange "+prefix, err)
	return r
}

func take(t testing.TB, r *Range, owner string) string {
	t.Helper()
	a, err := r.Take(owner)
	check.NoError(t, "Take for "+owner, err)
	return a.String()
}

func TestRange_Take(t *testing.T) {
	r := newRange(t, "10.88.0.9/29", "10.88.0.9", "10.88.0.11")
	check.Equal(t, "the first", "10.88.0.10", take(t, r, "a"), check.Often(len(r.Held) > 0, "the network's own address is given, or a reserved one"))
	check.Equal(t, "the second", "10.88.0.12", take(t, r, "b"))
	check.Equal(t, "the first, asked again", "10.88.0.10", take(t, r, "a"), check.Often(len(r.Held) > 2, "an owner gets a second address when it asks again"))
	six := newRange(t, "fd00:88::/64")
	check.Equal(t, "the first of IPv6", "fd00:88::1", take(t, six, "a"))
	for _, bad := range []string{"10.88.0.0/31", "10.88.0.0/32", "fd00::/127"} {
		_, err := NewRange(netip.MustParsePrefix(bad))
		check.ErrorHas(t, "NewRange "+bad, err, []string{bad})
	}
	_, err := NewRange(netip.MustParsePrefix("10.88.0.0/24"), netip.MustParseAddr("10.88.1.1"))
	check.ErrorHas(t, "NewRange with a foreign reserved one", err, []string{"10.88.1.1", "10.88.0.0/24"})
}

func TestRange_OldestFirst(t *testing.T) {
	r := newRange(t, "10.88.0.0/29") // .1 to .6
	for _, o := range []string{"a", "b", "c"} {
		take(t, r, o)
	}
	r.Give("b")
	r.Give("a")
	check.Equal(t, "after two were given back", "10.88.0.4", take(t, r, "d"), check.Often(true, "an address is used again while others never were"))
	take(t, r, "e")
	take(t, r, "f")
	check.Equal(t, "when all were used", "10.88.0.2", take(t, r, "g"), check.Often(true, "the address given back last is used first"))
	r.Give("g")
	r.Give("g")
	check.Equal(t, "then", "10.88.0.1", take(t, r, "h"))
	check.NoError(t, "Check", r.Check())
}

func TestRange_Exhausted(t *testing.T) {
	r := newRange(t, "10.88.0.0/29")
	for i := range 6 {
		take(t, r, fmt.Sprint(i))
	}
	_, err := r.Take("one too many")
	check.ErrorIs(t, "Take of the seventh of six", err, ErrExhausted)
	check.ErrorHas(t, "its text", err, []string{"10.88.0.0/29", "6"})
	r.Give("3")
	check.Equal(t, "after one was given back", "10.88.0.4", take(t, r, "late"))
}

// Whatever happens, nobody has another's address, and what was written down and read
// back does the same.
func TestRange_Random(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRange(t, "10.88.0.0/28", "10.88.0.1")
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			owner := fmt.Sprint(rapid.IntRange(0, 17).Draw(rt, "owner"))
			if rapid.Bool().Draw(rt, "take") {
				_, err := r.Take(owner)
				if full := len(r.Held) == 13; err != nil && !full {
					rt.Fatalf("Take with %d of 13 held: %v", len(r.Held), err)
				}
			} else {
				r.Give(owner)
			}
			if err := r.Check(); err != nil {
				rt.Fatal(err)
			}
			b, err := json.Marshal(r)
			if err != nil {
				rt.Fatal(err)
			}
			r = new(Range)
			if err := json.Unmarshal(b, r); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
