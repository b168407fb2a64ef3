package network

import (
	"context"
	"errors"
	"io"
	"testing"

	"sigs.k8s.io/knftables"

	"coracle/internal/check"
)

// failing is an nft that fails when told to.
type failing struct {
	*knftables.Fake
	with error
}

func (f *failing) Run(ctx context.Context, tx *knftables.Transaction) error {
	if f.with != nil {
		return f.with
	}
	return f.Fake.Run(ctx, tx)
}

// A port that could not be taken away would lead to whoever has the address next.
func TestTable_FailureIsMadeUpFor(t *testing.T) {
	nft := &failing{Fake: knftables.NewFake(knftables.InetFamily, "coracle-test")}
	tab := table{rules: testRules, nft: nft, owners: map[string][]Mapping{}, relays: map[string][]io.Closer{}}
	check.NoError(t, "write", tab.write(t.Context()))
	port := []Mapping{mapping("pod a", "udp", "192.0.2.1:8080", "10.88.0.2:80")}
	check.NoError(t, "publish", tab.publish(t.Context(), "a", "", port))
	there := func() bool { return nft.Table.Maps["ports4"].FindElement("192.0.2.1", "udp", "8080") != nil }
	check.True(t, "the port", there(), "not there", "there")
	nft.with = errors.New("nft was killed")
	check.ErrorIs(t, "remove when nft fails", tab.remove(t.Context(), "a"), nft.with)
	nft.with = nil
	check.NoError(t, "remove again", tab.remove(t.Context(), "a"))
	check.True(t, "the port", !there(), "still there", "gone", check.Often(true, "a failure is forgotten with the pod"))
}
