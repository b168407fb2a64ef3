package main

import "coracle/internal/hostgroup"

// collectGroups removes the control groups that killed programs left.
func collectGroups() ([]string, error) { return hostgroup.Collect() }
