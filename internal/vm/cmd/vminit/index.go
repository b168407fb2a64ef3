package main

import (
	"fmt"
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

// node is a device file that must be there before its driver, which is loaded when it is first opened.
type node struct {
	path         string
	major, minor uint32
}

// parseNodes finds the drivers with a devname and a number among their aliases: "devname:net/tun char-major-10-200".
func parseNodes(index string) (nodes []node) {
	for line := range strings.Lines(index) {
		var n node
		for _, alias := range strings.Fields(line) {
			if path, ok := strings.CutPrefix(alias, "devname:"); ok {
				n.path = path
			}
			fmt.Sscanf(alias, "char-major-%d-%d", &n.major, &n.minor) //nolint:errcheck // another alias
		}
		if n.path != "" && n.major != 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
