package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Spec says what a process is to be before its first own instruction. Its zero
// values ask for nothing, so that each part can be tried by itself: without Root
// the child keeps the caller's file system, without Capabilities its capabilities.
// It is the OCI runtime-spec's config.json cut down to what the chapter teaches;
// chapter 4 takes the whole.
type Spec struct {
	Args []string `json:"args"`           // the program and its arguments; the program is looked up in the spec's PATH, below Root
	Env  []string `json:"env,omitempty"`  // "NAME=value"
	Dir  string   `json:"dir,omitempty"`  // working directory below Root; "/" if empty and Root is set
	User *User    `json:"user,omitempty"` // ids inside; nil: 0 in a new user namespace, else unchanged

	Namespaces []Namespace `json:"namespaces,omitempty"`
	UIDMap     []IDMap     `json:"uidMap,omitempty"` // for a new user namespace
	GIDMap     []IDMap     `json:"gidMap,omitempty"`
	Hostname   string      `json:"hostname,omitempty"` // needs a UTS namespace of its own

	Root          *Root    `json:"root,omitempty"`
	Mounts        []Mount  `json:"mounts,omitempty"`        // binds from the caller's file system, in order
	Tmpfs         []string `json:"tmpfs,omitempty"`         // folders below Root that become empty and writable
	System        bool     `json:"system,omitempty"`        // /proc, /sys and /dev below Root
	MaskedPaths   []string `json:"maskedPaths,omitempty"`   // absolute, below Root; those that do not exist are skipped
	ReadonlyPaths []string `json:"readonlyPaths,omitempty"` // likewise

	Capabilities *[]string           `json:"capabilities,omitempty"` // what it keeps, "CAP_CHOWN"; nil: all that it has
	NoNewPrivs   bool                `json:"noNewPrivs,omitempty"`
	Seccomp      *specs.LinuxSeccomp `json:"seccomp,omitempty"`
	Compiled     *CompiledSeccomp    `json:"compiled,omitempty"` // in the place of Seccomp, see CompileSeccomp
	Terminal     bool                `json:"terminal,omitempty"` // a pseudo-terminal of its own as stdio
}

// User is who the process runs as, in ids of its own user namespace.
type User struct {
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups,omitempty"`
}

// A Namespace is one kind and how the process comes by it.
type Namespace struct {
	Type Type   `json:"type"`
	Path string `json:"path,omitempty"` // a namespace to join; empty: a new one
}

// Type is a kind of namespace by its name in /proc/PID/ns (namespaces(7)).
type Type string

const (
	Cgroup Type = "cgroup"
	IPC    Type = "ipc"
	Mnt    Type = "mnt"
	Net    Type = "net"
	PID    Type = "pid"
	Time   Type = "time"
	UserNS Type = "user"
	UTS    Type = "uts"
)

// An IDMap maps Size ids: Container+i inside is Host+i outside (user_namespaces(7)).
type IDMap struct {
	Container int `json:"container"`
	Host      int `json:"host"`
	Size      int `json:"size"`
}

// Root is the directory that becomes /.
type Root struct {
	Path     string `json:"path"` // absolute, a directory
	Readonly bool   `json:"readonly,omitempty"`
}

// A Mount binds Source, a path of the caller, to Target, a path below Root.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	Readonly bool   `json:"readonly,omitempty"`
}

// ReadSpec decodes one spec, refuses a field it does not know, and validates it.
func ReadSpec(r io.Reader) (*Spec, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	s := new(Spec)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("spec: more than one JSON value")
	}
	return s, s.Validate()
}

// Validate finds what no kernel could do, before anything is made. Each error is
// one line that names the field and the way out.
func (s *Spec) Validate() error {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return errors.New("spec: args is empty: name a program to run")
	}
	seen := map[Type]bool{}
	for _, ns := range s.Namespaces {
		if seen[ns.Type] {
			return fmt.Errorf("spec: namespace %q is listed twice", ns.Type)
		}
		seen[ns.Type] = true
	}
	if s.Hostname != "" && !seen[UTS] {
		return fmt.Errorf("spec: hostname %q would change the machine's: add a uts namespace", s.Hostname)
	}
	if s.Root != nil && !seen[Mnt] {
		return fmt.Errorf("spec: root %s needs a mnt namespace", s.Root.Path)
	}
	if (len(s.UIDMap) > 0 || len(s.GIDMap) > 0) && !seen[UserNS] {
		return errors.New("spec: an id map needs a user namespace")
	}
	if s.Capabilities != nil && *s.Capabilities == nil {
		return errors.New("spec: capabilities is a nil list, which JSON cannot tell from none given: want an empty one")
	}
	if s.Root != nil && !path.IsAbs(s.Root.Path) {
		return fmt.Errorf("spec: root %q is not absolute", s.Root.Path)
	}
	targets := slices.Clone(s.Tmpfs)
	for _, m := range s.Mounts {
		targets = append(targets, m.Target)
	}
	for _, target := range targets {
		if err := s.covered(target); err != nil {
			return err
		}
	}
	for _, e := range s.Env {
		if k, _, ok := strings.Cut(e, "="); !ok || k == "" {
			return fmt.Errorf("spec: env %q is not NAME=value", e)
		}
	}
	for _, p := range append(append([]string{}, s.MaskedPaths...), s.ReadonlyPaths...) {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return fmt.Errorf("spec: path %q is not absolute and clean", p)
		}
	}
	if err := overlaps("uidMap", s.UIDMap); err != nil {
		return err
	}
	return overlaps("gidMap", s.GIDMap)
}

// covered refuses a place that what is mounted after the binds would hide. It looks
// at the words alone: a link in the root that leads there ends below the cover.
func (s *Spec) covered(target string) error {
	top, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+target), "/"), "/")
	switch {
	case top == "":
		return fmt.Errorf("spec: a mount on %s would be another root: name it as the root", target)
	case s.System && (top == "proc" || top == "sys" || top == "dev"):
		return fmt.Errorf("spec: a mount on %s would be hidden by the /%s that each container gets: choose another place", target, top)
	}
	return nil
}

func overlaps(field string, maps []IDMap) error {
	for i, a := range maps {
		if a.Size <= 0 || a.Container < 0 || a.Host < 0 {
			return fmt.Errorf("spec: %s: %+v: want size > 0 and ids ≥ 0", field, a)
		}
		for _, b := range maps[:i] {
			if a.Container < b.Container+b.Size && b.Container < a.Container+a.Size {
				return fmt.Errorf("spec: %s: %+v and %+v overlap inside", field, b, a)
			}
			if a.Host < b.Host+b.Size && b.Host < a.Host+a.Size {
				return fmt.Errorf("spec: %s: %+v and %+v overlap outside", field, b, a)
			}
		}
	}
	return nil
}

// New says whether the spec asks for a new namespace of this kind.
func (s *Spec) New(t Type) bool {
	for _, ns := range s.Namespaces {
		if ns.Type == t {
			return ns.Path == ""
		}
	}
	return false
}
