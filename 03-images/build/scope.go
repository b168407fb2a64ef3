package build

import "strings"

// A scope is the variables that a word of an instruction may name. An ENV hides an
// ARG of its name, wherever the two stand.
type scope struct {
	env  []string // "NAME=value"
	args []string // likewise, in the order of declaration
}

// Get and Keys make it a shell.EnvGetter.
func (s *scope) Get(name string) (string, bool) {
	if v, ok := getEnv(s.env, name); ok {
		return v, true
	}
	return getEnv(s.args, name)
}

func (s *scope) Keys() []string {
	var names []string
	for _, e := range s.all() {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	return names
}

// longest is the length of the longest variable.
func (s *scope) longest() (n int) {
	for _, list := range [][]string{s.env, s.args} {
		for _, e := range list {
			n = max(n, len(e))
		}
	}
	return n
}

// all is the environment that a RUN gets.
func (s *scope) all() []string {
	var all []string
	for _, a := range s.args {
		name, _, _ := strings.Cut(a, "=")
		if _, hidden := getEnv(s.env, name); !hidden {
			all = append(all, a)
		}
	}
	return append(all, s.env...)
}

func getEnv(env []string, name string) (string, bool) {
	for _, e := range env {
		if n, v, _ := strings.Cut(e, "="); n == name {
			return v, true
		}
	}
	return "", false
}

// setEnv returns env with a variable set, in its old place if it had one. It does
// not change env.
func setEnv(env []string, name, value string) []string {
	set := append([]string{}, env...)
	for i, e := range set {
		if n, _, _ := strings.Cut(e, "="); n == name {
			set[i] = name + "=" + value
			return set
		}
	}
	return append(set, name+"="+value)
}

// platformArgs are the arguments that need not be passed (docs.docker.com,
// "Automatic platform ARGs in the global scope"). Build and target are one here.
func platformArgs(args map[string]string, platform, target string) []string {
	part := strings.SplitN(platform+"//", "/", 3)
	if target == "" {
		target = "default"
	}
	list := [][2]string{{"TARGETSTAGE", target}}
	for _, side := range []string{"BUILD", "TARGET"} {
		list = append(list, [][2]string{{side + "PLATFORM", platform}, {side + "OS", part[0]}, {side + "ARCH", part[1]},
			{side + "VARIANT", strings.Trim(part[2], "/")}}...)
	}
	var env []string
	for _, kv := range list {
		if v, ok := args[kv[0]]; ok {
			kv[1] = v
		}
		env = append(env, kv[0]+"="+kv[1])
	}
	return env
}

// proxyArgs may be passed without being declared; a RUN sees them, and its key does
// not know them (docs.docker.com, "Predefined ARGs").
var proxyArgs = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}

// proxies returns the arguments of that kind that were passed and not declared.
func proxies(args map[string]string, declared []string) []string {
	var env []string
	for _, upper := range proxyArgs {
		for _, name := range []string{upper, strings.ToLower(upper)} {
			if _, ok := getEnv(declared, name); ok {
				continue
			}
			if v, ok := args[name]; ok {
				env = append(env, name+"="+v)
			}
		}
	}
	return env
}
