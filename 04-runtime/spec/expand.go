package spec

import "strings"

// Expand replaces each $(NAME) by what lookup has for it. A name that it does not
// have stays as it is written, and $$ is a $ that begins nothing:
//
//	"$(HOST):$(PORT)" → "db:5432"    "$(NONE)" → "$(NONE)"    "$$(HOST)" → "$(HOST)"
//
// In full size: third_party/forked/golang/expansion/expand.go.
func Expand(text string, lookup func(name string) (string, bool)) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:i])
		text = text[i:]
		end := strings.IndexByte(text, ')')
		switch {
		case text[1] == '$':
			out.WriteByte('$')
			text = text[2:]
		case text[1] == '(' && end > 0:
			if value, ok := lookup(text[2:end]); ok {
				out.WriteString(value)
			} else {
				out.WriteString(text[:end+1])
			}
			text = text[end+1:]
		default:
			out.WriteString(text[:2])
			text = text[2:]
		}
	}
}

// expandAll expands a list, by the container's environment.
func expandAll(list []string, env map[string]string) []string {
	var out []string
	for _, text := range list {
		out = append(out, Expand(text, func(name string) (string, bool) { v, ok := env[name]; return v, ok }))
	}
	return out
}
