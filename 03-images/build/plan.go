package build

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A planner carries out a stage's instructions as far as they change the config.
type planner struct {
	file  *Dockerfile
	stage *Stage
	epoch time.Time
	state State
	steps []Step
	cmd   bool // this stage has a CMD
	size  int  // bytes of history
}

// Plan says what a stage does to files, and which state it ends in, its layers and
// key aside. from is the state of what it begins with; epoch the time in the config.
func (f *Dockerfile) Plan(st *Stage, from State, epoch time.Time) ([]Step, State, error) {
	p := &planner{file: f, stage: st, epoch: epoch, state: from}
	c := &p.state.Config
	c.Created, c.RootFS.DiffIDs = &epoch, nil
	c.History = slices.Clone(c.History)
	c.Config.Labels, c.Config.Volumes, c.Config.ExposedPorts = maps.Clone(c.Config.Labels), maps.Clone(c.Config.Volumes), maps.Clone(c.Config.ExposedPorts)
	if _, ok := getEnv(c.Config.Env, "PATH"); !ok {
		c.Config.Env = append(slices.Clone(c.Config.Env), defaultPath)
	}
	if err := p.triggers(); err != nil {
		return nil, State{}, err
	}
	for _, node := range st.nodes {
		what, err := instructions.ParseInstruction(node)
		if err == nil {
			err = p.instruction(what, node)
		}
		if err == nil && p.size > images.MaxManifest {
			err = fmt.Errorf("the image's history becomes larger than %d bytes", images.MaxManifest)
		}
		if err != nil {
			return nil, State{}, f.at(node.StartLine, err)
		}
	}
	return p.steps, p.state, nil
}

// scope is what a word of the next instruction may name.
func (p *planner) scope() *scope { return &scope{env: p.state.Config.Config.Env, args: p.state.Args} }

func (p *planner) instruction(what any, node *parser.Node) error {
	if _, isArg := what.(*instructions.ArgCommand); !isArg {
		if err := p.expandAll(what); err != nil {
			return err
		}
	}
	c := &p.state.Config.Config
	said := node.Original
	switch i := what.(type) {
	case *instructions.ArgCommand:
		return p.arg(i)
	case *instructions.EnvCommand:
		for _, kv := range i.Env {
			c.Env = setEnv(c.Env, kv.Key, kv.Value)
		}
		said = "ENV " + pairs(i.Env)
	case *instructions.LabelCommand:
		for _, kv := range i.Labels {
			put(&c.Labels, kv.Key, kv.Value)
		}
		said = "LABEL " + pairs(i.Labels)
	case *instructions.MaintainerCommand:
		p.state.Config.Author = i.Maintainer
	case *instructions.CmdCommand:
		c.Cmd, p.cmd = p.line(i.ShellDependantCmdLine), true
		said = fmt.Sprintf("CMD %q", c.Cmd)
	case *instructions.EntrypointCommand:
		c.Entrypoint = p.line(i.ShellDependantCmdLine)
		if !p.cmd { // the base's CMD was meant for the base's ENTRYPOINT
			c.Cmd = nil
		}
		said = fmt.Sprintf("ENTRYPOINT %q", c.Entrypoint)
	case *instructions.HealthCheckCommand:
		c.Healthcheck = i.Health
	case *instructions.ShellCommand:
		c.Shell = i.Shell
	case *instructions.UserCommand:
		c.User, said = i.User, "USER "+i.User
	case *instructions.StopSignalCommand:
		if err := validSignal(i.Signal); err != nil {
			return err
		}
		c.StopSignal, said = i.Signal, "STOPSIGNAL "+i.Signal
	case *instructions.VolumeCommand:
		for _, v := range i.Volumes {
			put(&c.Volumes, v, struct{}{})
		}
		said = fmt.Sprintf("VOLUME %v", i.Volumes)
	case *instructions.ExposeCommand:
		ports, err := p.ports(i.Ports)
		if err != nil {
			return err
		}
		for _, port := range ports {
			put(&c.ExposedPorts, port, struct{}{})
		}
		said = fmt.Sprintf("EXPOSE %s", strings.Join(ports, " "))
	case *instructions.OnbuildCommand:
		return p.onbuild(i, node.StartLine)
	case *instructions.WorkdirCommand:
		if !path.IsAbs(i.Path) {
			i.Path = path.Join("/", c.WorkingDir, i.Path)
		}
		c.WorkingDir = path.Clean(i.Path)
		p.step(Step{Kind: Workdir, Dir: c.WorkingDir, User: c.User}, node, "WORKDIR "+c.WorkingDir)
		return nil
	case *instructions.RunCommand:
		return p.run(i, node)
	case *instructions.CopyCommand:
		return p.copy(i, node)
	case *instructions.AddCommand:
		return p.add(i, node)
	default:
		return fmt.Errorf("%s is not built here", strings.ToUpper(node.Value))
	}
	p.history(said, true)
	return nil
}

// expandAll replaces the variables in an instruction's words. In a here-document a
// quote is a character like any other.
func (p *planner) expandAll(what any) error {
	if e, ok := what.(instructions.SupportsSingleWordExpansion); ok {
		err := e.Expand(func(word string) (string, error) { return p.file.expand(word, p.scope()) })
		if err != nil {
			return err
		}
	}
	if e, ok := what.(instructions.SupportsSingleWordExpansionRaw); ok {
		return e.ExpandRaw(func(word string) (string, error) {
			lex := shell.NewLex('\\')
			lex.SkipProcessQuotes = true
			return expand(lex, word, p.scope())
		})
	}
	return nil
}

// arg declares arguments: one that was passed has that value, else its default,
// else that of an ARG before the first FROM.
func (p *planner) arg(i *instructions.ArgCommand) error {
	said := "ARG"
	for _, a := range i.Args {
		value, ok := p.stage.args[a.Key]
		if !ok && a.Value != nil {
			v, err := p.file.expand(*a.Value, p.scope())
			if err != nil {
				return err
			}
			value, ok = v, true
		}
		if !ok {
			value, ok = p.stage.global.Get(a.Key)
		}
		said += " " + a.Key
		if ok {
			p.state.Args = setEnv(p.state.Args, a.Key, value)
			said += "=" + value
		}
	}
	p.history(said, true)
	return nil
}

// line is a command as it is executed: by the shell unless it is a JSON list.
func (p *planner) line(l instructions.ShellDependantCmdLine) []string {
	if !l.PrependShell {
		return l.CmdLine
	}
	sh := p.state.Config.Config.Shell
	if len(sh) == 0 {
		sh = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(sh), strings.Join(l.CmdLine, " "))
}

// step appends a step and its entry in the history.
func (p *planner) step(s Step, node *parser.Node, said string) {
	s.Line, s.Text, s.History = node.StartLine, node.Original, len(p.state.Config.History)
	if s.Kind != Copy {
		s.FromStage = -1
	}
	p.steps = append(p.steps, s)
	p.history(said, false)
}

func (p *planner) history(said string, empty bool) {
	p.size += len(said)
	p.state.Config.History = append(p.state.Config.History, v1.History{Created: &p.epoch, CreatedBy: said, EmptyLayer: empty})
}

func pairs(list instructions.KeyValuePairs) string {
	var words []string
	for _, kv := range list {
		words = append(words, kv.String())
	}
	return strings.Join(words, " ")
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}
