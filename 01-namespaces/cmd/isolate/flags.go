package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	namespaces "coracle/01-namespaces"
)

// options are the flags of one call.
type options struct {
	root, hostname, net, name, dir, spec string
	writable, noSeccomp, tty, noTTY      bool
	user                                 *namespaces.User
	binds                                []namespaces.Mount
	env, keep, drop                      []string
	given                                map[string]bool
	command                              []string
}

// parse reads flags up to "--" or the first word that is none; allowed names the
// flags that make sense here, all if empty.
func parse(args []string, allowed ...string) (*options, error) {
	o := &options{net: "none", given: map[string]bool{}}
	fs := flag.NewFlagSet("isolate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.root, "root", "", "")
	fs.StringVar(&o.hostname, "hostname", "", "")
	fs.StringVar(&o.net, "net", "none", "")
	fs.StringVar(&o.name, "name", "", "")
	fs.StringVar(&o.dir, "dir", "", "")
	fs.StringVar(&o.spec, "spec", "", "")
	fs.BoolVar(&o.writable, "writable", false, "")
	fs.BoolVar(&o.noSeccomp, "no-seccomp", false, "")
	fs.BoolVar(&o.tty, "tty", false, "")
	fs.BoolVar(&o.noTTY, "no-tty", false, "")
	fs.Func("bind", "", o.bind)
	fs.Func("env", "", o.setenv)
	fs.Func("user", "", o.setUser)
	fs.Func("keep", "", capability(&o.keep))
	fs.Func("drop", "", capability(&o.drop))
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(help)
			os.Exit(0)
		}
		return nil, fmt.Errorf("%w (isolate --help lists the flags)", err)
	}
	fs.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	o.command = fs.Args()
	for name := range o.given {
		if len(allowed) > 0 && !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("--%s has no meaning here, only --%s", name, strings.Join(allowed, ", --"))
		}
	}
	switch {
	case o.tty && o.noTTY:
		return nil, errors.New("--tty and --no-tty exclude each other")
	case o.net != "none" && o.net != "host":
		return nil, fmt.Errorf("--net %q: want none or host", o.net)
	case strings.ContainsAny(o.name, "/ \n@") || len(o.name) > 64:
		return nil, fmt.Errorf("--name %q: want a word of at most 64 bytes without slash, space or @", o.name)
	case len(o.command) == 0 && o.spec == "":
		return nil, errors.New("no command: isolate [flags] -- COMMAND (isolate --help has examples)")
	}
	return o, nil
}

func (o *options) bind(v string) error {
	part := strings.Split(v, ":")
	m := namespaces.Mount{}
	switch {
	case len(part) == 3 && part[2] == "ro":
		m.Readonly = true
	case len(part) != 2:
		return errors.New("want SRC:DST or SRC:DST:ro")
	}
	m.Source, m.Target = part[0], part[1]
	if m.Source == "" || !strings.HasPrefix(m.Target, "/") {
		return errors.New("want a source and an absolute target")
	}
	o.binds = append(o.binds, m)
	return nil
}

func (o *options) setenv(v string) error {
	name, _, set := strings.Cut(v, "=")
	if name == "" {
		return errors.New("want NAME or NAME=VALUE")
	}
	if !set {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil
		}
		v = name + "=" + value
	}
	o.env = append(o.env, v)
	return nil
}

func (o *options) setUser(v string) error {
	uid, gid, both := strings.Cut(v, ":")
	u, err := strconv.ParseUint(uid, 10, 31)
	g := u
	if err == nil && both {
		g, err = strconv.ParseUint(gid, 10, 31)
	}
	if err != nil {
		return errors.New("want numbers, UID or UID:GID")
	}
	o.user = &namespaces.User{UID: int(u), GID: int(g)}
	return nil
}

// capability accepts "chown" and "CAP_CHOWN".
func capability(list *[]string) func(string) error {
	return func(v string) error {
		v = strings.ToUpper(v)
		if v != "ALL" && !strings.HasPrefix(v, "CAP_") {
			v = "CAP_" + v
		}
		*list = append(*list, v)
		return nil
	}
}
