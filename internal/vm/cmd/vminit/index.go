package main

import (
	"path"
	"strings"
)

// parseIndex returns the modules to load for a name or an alias, in order. Lines are "name: needs… | aliases…"; needs
// are direct ones, each with a line of its own further up.
func parseIndex(index, wanted string) (order []string) {
	needs := map[string][]string{}
	var matches []string
	wanted = underscores(wanted)
	for line := range strings.Lines(index) {
		name, rest, _ := strings.Cut(line, ":")
		before, aliases, _ := strings.Cut(rest, "|")
		needs[name] = strings.Fields(before)
		hit := name == wanted
		for _, alias := range strings.Fields(aliases) {
			ok, err := path.Match(underscores(alias), wanted)
			hit = hit || err == nil && ok
		}
		if hit {
			matches = append(matches, name)
		}
	}
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, n := range needs[name] {
			visit(n)
		}
		order = append(order, name)
	}
	for _, name := range matches {
		visit(name)
	}
	return order
}

// underscores makes names comparable: to the kernel nft-chain-nat and nft_chain_nat are one.
func underscores(s string) string { return strings.ReplaceAll(s, "-", "_") }
