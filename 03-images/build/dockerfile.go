package build

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// A Dockerfile may come from anybody: these are more than a person writes.
const (
	maxDockerfile = 1 << 20 // bytes
	maxStages     = 500
	maxWord       = 1 << 20 // bytes of a word, its variables replaced: ENV A=$A$A doubles with each line
)

// Scratch is the base that is empty.
const Scratch = "scratch"

// A Dockerfile is one that was read: its syntax is right.
type Dockerfile struct {
	name   string // for messages
	escape rune
	before []*parser.Node   // the ARGs before the first FROM
	stages [][]*parser.Node // each begins with its FROM
}

// A Stage is one FROM and what follows it, its names resolved.
type Stage struct {
	Index    int
	Name     string // lower case; "" if it has none
	Parent   int    // the stage that it goes on from; -1 if it begins with an image
	Base     string // that image by name, or Scratch
	Platform string // of the image; "" for the build's own
	From     []int  // the stages that it copies from
	Line     int

	nodes   []*parser.Node
	global  *scope            // what an ARG without a value takes its value from
	args    map[string]string // the build's
	earlier []*Stage
	offline bool // no RUN has a network
}

// Parse reads a Dockerfile. The name is for messages.
func Parse(name string, text []byte) (*Dockerfile, error) {
	f := &Dockerfile{name: name}
	if len(text) > maxDockerfile {
		return nil, f.at(1, fmt.Errorf("%d bytes: a Dockerfile of more than %d is refused", len(text), maxDockerfile))
	}
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, f.at(1, err)
	}
	f.escape = result.EscapeToken
	for _, node := range result.AST.Children {
		what, err := instructions.ParseInstruction(node)
		if err != nil {
			return nil, f.at(node.StartLine, err)
		}
		_, isArg := what.(*instructions.ArgCommand)
		switch {
		case strings.EqualFold(node.Value, command.From):
			if len(f.stages) == maxStages {
				return nil, f.at(node.StartLine, fmt.Errorf("more than %d stages", maxStages))
			}
			f.stages = append(f.stages, []*parser.Node{node})
		case len(f.stages) > 0:
			last := len(f.stages) - 1
			f.stages[last] = append(f.stages[last], node)
		case isArg:
			f.before = append(f.before, node)
		default:
			return nil, f.at(node.StartLine, fmt.Errorf("%s before the first FROM: only ARG may stand there", strings.ToUpper(node.Value)))
		}
	}
	if len(f.stages) == 0 {
		return nil, f.at(1, errors.New("no FROM: a Dockerfile begins with the image to start from, or with FROM scratch"))
	}
	return f, nil
}

// Stages resolves what the stages are called, begin with and copy from. Args are
// the build's arguments (--build-arg), which a FROM sees if an ARG before the first
// FROM declares them; target is what TARGETSTAGE says.
func (f *Dockerfile) Stages(args map[string]string, platform string, target string) ([]*Stage, error) {
	global, err := f.global(args, platform, target)
	if err != nil {
		return nil, err
	}
	var stages []*Stage
	for i, nodes := range f.stages {
		what, err := instructions.ParseInstruction(nodes[0])
		from, ok := what.(*instructions.Stage)
		if err != nil || !ok {
			return nil, f.at(nodes[0].StartLine, err)
		}
		st := &Stage{Index: i, Name: from.Name, Parent: -1, Line: nodes[0].StartLine,
			nodes: nodes[1:], global: global, args: args, earlier: stages[:i:i]}
		if st.Name == Scratch || st.Name == "context" {
			return nil, f.at(st.Line, fmt.Errorf("a stage may not be called %s", st.Name))
		}
		if st.Base, err = f.expand(from.BaseName, global); err == nil && st.Base == "" {
			err = fmt.Errorf("FROM %s: no image: an ARG before the first FROM without a value?", from.BaseName)
		}
		if err == nil {
			st.Platform, err = f.expand(from.Platform, global)
		}
		if err != nil {
			return nil, f.at(st.Line, err)
		}
		if n, ok := stageNamed(stages, st.Base); ok {
			st.Parent, st.Base = n, ""
		}
		stages = append(stages, st)
		if err := f.sources(st, stages); err != nil {
			return nil, err
		}
	}
	return stages, nil
}

// sources finds the stages that a stage copies from. All are earlier ones, so that
// there is no circle.
func (f *Dockerfile) sources(st *Stage, stages []*Stage) error {
	for _, node := range st.nodes {
		what, err := instructions.ParseInstruction(node)
		if err != nil {
			return f.at(node.StartLine, err)
		}
		c, ok := what.(*instructions.CopyCommand)
		if !ok || c.From == "" {
			continue
		}
		if n, ok, err := sourceStage(c.From, stages[:st.Index]); err != nil {
			return f.at(node.StartLine, err)
		} else if ok {
			st.From = append(st.From, n)
		} else if f.laterStage(c.From, st.Index) {
			return f.at(node.StartLine, fmt.Errorf("COPY --from=%s: that stage begins here or later", c.From))
		}
	}
	slices.Sort(st.From)
	st.From = slices.Compact(st.From)
	return nil
}

// sourceStage returns the stage that a --from means, by name or number; false if it
// means an image.
func sourceStage(from string, earlier []*Stage) (int, bool, error) {
	if n, err := strconv.Atoi(from); err == nil {
		if n < 0 || n >= len(earlier) {
			return 0, false, fmt.Errorf("COPY --from=%s: there are %d stages before this one", from, len(earlier))
		}
		return n, true, nil
	}
	n, ok := stageNamed(earlier, from)
	return n, ok, nil
}

// stageNamed finds the last stage of a name.
func stageNamed(stages []*Stage, name string) (int, bool) {
	for i, st := range slices.Backward(stages) {
		if st.Name != "" && strings.EqualFold(st.Name, name) {
			return i, true
		}
	}
	return 0, false
}

func (f *Dockerfile) laterStage(name string, from int) bool {
	for _, nodes := range f.stages[from:] {
		what, _ := instructions.ParseInstruction(nodes[0])
		if st, ok := what.(*instructions.Stage); ok && st.Name != "" && strings.EqualFold(st.Name, name) {
			return true
		}
	}
	return false
}

// global returns the variables that FROM sees.
func (f *Dockerfile) global(args map[string]string, platform, target string) (*scope, error) {
	s := &scope{args: platformArgs(args, platform, target)}
	for _, node := range f.before {
		what, err := instructions.ParseInstruction(node)
		arg, ok := what.(*instructions.ArgCommand)
		if err != nil || !ok {
			return nil, f.at(node.StartLine, err)
		}
		for _, a := range arg.Args {
			if v, ok := args[a.Key]; ok {
				s.args = setEnv(s.args, a.Key, v)
			} else if a.Value != nil {
				v, err := f.expand(*a.Value, s)
				if err != nil {
					return nil, f.at(node.StartLine, err)
				}
				s.args = setEnv(s.args, a.Key, v)
			}
		}
	}
	return s, nil
}

// expand replaces the variables of a word, as a shell does.
func (f *Dockerfile) expand(word string, vars *scope) (string, error) {
	return expand(shell.NewLex(f.escape), word, vars)
}

func expand(lex *shell.Lex, word string, vars *scope) (string, error) {
	if n := strings.Count(word, "$"); n > 0 && len(word)+n*vars.longest() > maxWord {
		return "", fmt.Errorf("%.20q… may become more than %d bytes with its variables", word, maxWord)
	}
	text, _, err := lex.ProcessWord(word, vars)
	return text, err
}
