package spec

import (
	"fmt"
	"strings"
)

// envFile finds a key in a file of KEY='VALUE' lines (KEP-3721). What is between the
// quotes is the value as it stands, line ends too; blank lines and those that begin
// with # are comments. Anything else is an error: the file is a program's.
func envFile(text, key string) (value string, found bool, err error) {
	line := 0
	for text != "" {
		line++
		var this string
		this, text, _ = strings.Cut(text, "\n")
		this = strings.TrimLeft(this, " \t\r")
		if this == "" || this[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(this, "='")
		if !ok || name == "" || strings.ContainsAny(name, " \t=") {
			return "", false, fmt.Errorf("line %d: want KEY='VALUE'", line)
		}
		rest += "\n" + text
		v, after, ok := strings.Cut(rest, "'")
		if !ok {
			return "", false, fmt.Errorf("line %d: the value of %s has no end: want a '", line, name)
		}
		line += strings.Count(v, "\n")
		after, text, _ = strings.Cut(after, "\n")
		after = strings.Trim(after, " \t\r")
		if after != "" && after[0] != '#' {
			return "", false, fmt.Errorf("line %d: %q after the value of %s", line, after, name)
		}
		if name == key && !found { // the rest is read all the same: a broken file has no keys
			value, found = v, true
		}
	}
	return value, found, nil
}
