package namespaces

import "os"

// A Step is one thing that a raw child does before it executes a program.
type Step struct {
	Do   Op
	Type Type     // for SetNS: the kind of namespace
	File *os.File // for SetNS: the namespace
}

// An Op is what a Step does.
type Op int

const (
	SetNS      Op = iota + 1 // setns(2) on File
	Fork                     // go on in a child, which is born in the PID namespace that was entered
	BecomeRoot               // no supplementary groups, group id 0, user id 0
)
