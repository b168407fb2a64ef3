package build

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// onbuild notes an instruction for whoever builds from this image. It is read now, so
// that its author hears of what is wrong with it.
func (p *planner) onbuild(i *instructions.OnbuildCommand, line int) error {
	result, err := parser.Parse(strings.NewReader(i.Expression))
	if err != nil {
		return err
	}
	for _, node := range result.AST.Children {
		node.StartLine = line // for the message
		if _, err := instructions.ParseInstruction(node); err != nil {
			return fmt.Errorf("ONBUILD: %w", err)
		}
	}
	p.state.Config.Config.OnBuild = append(slices.Clone(p.state.Config.Config.OnBuild), i.Expression)
	p.history("ONBUILD "+i.Expression, true)
	return nil
}

// triggers carries out what the base image asked for with ONBUILD, once: an image
// built from the result is not asked again.
func (p *planner) triggers() error {
	list := p.state.Config.Config.OnBuild
	p.state.Config.Config.OnBuild = nil
	for _, text := range list {
		if err := p.trigger(text); err != nil {
			return p.file.at(p.stage.Line, fmt.Errorf("the base image's ONBUILD %s: %w", text, err))
		}
	}
	return nil
}

func (p *planner) trigger(text string) error {
	result, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return err
	}
	if len(result.AST.Children) != 1 {
		return errors.New("not one instruction")
	}
	node := result.AST.Children[0]
	node.StartLine = p.stage.Line
	what, err := instructions.ParseInstruction(node)
	if err != nil {
		return err
	}
	if c, ok := what.(*instructions.CopyCommand); ok && c.From != "" {
		return errors.New("--from is not built here")
	}
	return p.instruction(what, node)
}
