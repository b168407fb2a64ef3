package build

import (
	"io/fs"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	images "coracle/03-images"
)

// Config is an image's config as Docker writes it: the OCI one, and HEALTHCHECK,
// ONBUILD and SHELL, which OCI left out.
type Config = dockerspec.DockerOCIImage

// A Step is one instruction that changes files, its variables replaced.
type Step struct {
	Kind Kind

	// RUN
	Args    []string // the program and its arguments, the shell among them
	Env     []string // "NAME=value": what ENV and ARG say
	Proxy   []string // likewise, arguments for a proxy: they lead to what is copied, and are not what is copied
	Script  *Inline  // a program that came with the instruction, a file while it runs
	Offline bool     // it has no network

	// RUN and WORKDIR
	Dir  string // absolute: where it runs, or what is made
	User string // "name", "1000", "name:group"

	// COPY and ADD
	FromStage int      // the stage to copy from; -1 if none
	FromImage string   // the image to copy from; both unset: from the context
	Sources   []string // paths and globs
	Files     []Inline // files that came with the instruction
	Dest      string   // absolute; a slash at its end says that it is a folder
	Chown     string   // "name:group", "1000"; "" if the flag is not given
	Chmod     *fs.FileMode
	Exclude   []string
	Unpack    bool // ADD: an archive is unpacked

	// For people.
	Line    int
	Text    string // the instruction as it was written
	History int    // its entry in the config
}

// Name is the instruction's name as it was written, in capitals.
func (s *Step) Name() string {
	name, _, _ := strings.Cut(strings.ToUpper(s.Text), " ")
	return name
}

// A Kind is what a Step does.
type Kind string

const (
	Run     Kind = "RUN"
	Copy    Kind = "COPY" // ADD too
	Workdir Kind = "WORKDIR"
)

// An Inline is a file that stands in the Dockerfile (a here-document).
type Inline struct{ Name, Data string }

// A State is how far a stage is.
type State struct {
	Config Config
	Args   []string // "NAME=value": the ARGs declared so far
	Layers []Layer
	Key    digest.Digest // of the last step
}

// A Layer is a layer as shipped and as unpacked.
type Layer struct {
	images.Descriptor
	DiffID digest.Digest
}

// Chain is the chain ID of all the layers, and of one more on top of each that is
// given; "" if there are none.
func (s *State) Chain(more ...digest.Digest) digest.Digest {
	var ids []digest.Digest
	for _, l := range s.Layers {
		ids = append(ids, l.DiffID)
	}
	if ids = append(ids, more...); len(ids) == 0 {
		return ""
	}
	return images.ChainIDs(ids)[len(ids)-1]
}
