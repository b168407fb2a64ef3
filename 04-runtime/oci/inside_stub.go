package oci

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Each stub goes away as its part is written.

func checkInside(spec *specs.Spec, rootless bool) error { return nil }


func compileSeccomp(s *specs.LinuxSeccomp) (*filter, error) { return nil, nil }
func limitProcess(pid int, p *specs.Process) error          { return nil }

func prepareRoot(spec *specs.Spec, rootfs string) error             { return errInside }
func enterRoot(spec *specs.Spec, rootfs string, noPivot bool) error { return errInside }
func setSysctls(values map[string]string) error                     { return nil }
func finishRoot(spec *specs.Spec) error                             { return nil }
func setupProcess(p *specs.Process, f *filter) error                { return nil }
func lastFilter(p *specs.Process, f *filter) error                  { return nil }
