package sandbox

import (
	"errors"
	"os"
	"syscall"
)

const groupVar = "CORACLE_SANDBOX_GROUP"

// A group is the part of the cgroup tree that the tests own.
type group struct{}

func newGroup(Mode) (*group, error)               { return nil, errors.New("no group yet") }
func (g *group) env() string                      { return "" }
func (g *group) attach(attr *syscall.SysProcAttr) {}
func (g *group) adopt(pid int) error              { return nil }
func (g *group) remove()                          {}
func enterGroup() error                           { return nil }
func mountOwnGroups(at string) error              { _ = os.Getenv(groupVar); return nil }
