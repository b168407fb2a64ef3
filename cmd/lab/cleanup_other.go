//go:build !linux

package main

func collectGroups() ([]string, error) { return nil, nil }
