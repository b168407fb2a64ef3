package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const testIndex = `libcrc32c: |
nf_tables: libcrc32c | nfnetlink-subsys-10
nft_chain_nat: nf_tables | nft-chain-1-nat nft-chain-2-nat
virtio_pci: | pci:v00001AF4d*sv*sd*bc*sc*i*
tun: | devname:net/tun char-major-10-200
`

// The kernel asks by alias, and mixes - and _.
func TestParseIndex(t *testing.T) {
	for wanted, want := range map[string][]string{
		"nft-chain-2-nat":               {"libcrc32c", "nf_tables", "nft_chain_nat"},
		"nf-tables":                     {"libcrc32c", "nf_tables"},
		"pci:v00001AF4d1sv2sd3bc4sc5i6": {"virtio_pci"},
		"fs-nothing":                    nil,
	} {
		assert.Equal(t, want, parseIndex(testIndex, wanted), wanted)
	}
}

func TestParseNodes(t *testing.T) {
	assert.Equal(t, []node{{"net/tun", 10, 200}}, parseNodes(testIndex))
}
