package oci

import specs "github.com/opencontainers/runtime-spec/specs-go"

// A config is a specs.Spec without its parts for other systems. encoding/json prepares
// for every type that it could meet before it meets the first: half a millisecond for
// the whole of a Spec, at each of the two starts of a process that runs for ten.
type config struct {
	Version     string            `json:"ociVersion"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Process     *specs.Process    `json:"process,omitempty"`
	Linux       *specs.Linux      `json:"linux,omitempty"`
}

func (c *config) spec() *specs.Spec {
	return &specs.Spec{Version: c.Version, Hooks: c.Hooks, Annotations: c.Annotations, Hostname: c.Hostname,
		Domainname: c.Domainname, Mounts: c.Mounts, Root: c.Root, Process: c.Process, Linux: c.Linux}
}

func configOf(s *specs.Spec) *config {
	return &config{Version: s.Version, Hooks: s.Hooks, Annotations: s.Annotations, Hostname: s.Hostname,
		Domainname: s.Domainname, Mounts: s.Mounts, Root: s.Root, Process: s.Process, Linux: s.Linux}
}
