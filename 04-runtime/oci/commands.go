package oci

import (
	"flag"
	"time"
)

var order = []string{"create", "start", "run", "exec", "state", "list", "ps", "kill", "delete", "pause", "resume", "update", "events", "spec", "features"}

func commands() map[string]command {
	onID := func(f func(*Runtime, string) error) func(*cli, *flags, []string) (int, error) {
		return func(c *cli, _ *flags, args []string) (int, error) { return 0, f(c.Runtime, args[0]) }
	}
	return map[string]command{
		"create": {"ID", "make a container of a bundle, up to where its program would run", 1, 1, createFlags, (*cli).create},
		"start":  {"ID", "run the program of a created container", 1, 1, nil, onID((*Runtime).Start)},
		"run": {"ID", "create, start, wait, delete", 1, 1, func(s *flag.FlagSet, f *flags) {
			createFlags(s, f)
			s.BoolVar(&f.detach, "detach", false, "do not wait")
			s.BoolVar(&f.detach, "d", false, "do not wait")
			s.BoolVar(&f.keep, "keep", false, "do not delete it afterwards")
			s.BoolVar(&f.ignored, "no-subreaper", false, "taken for runc's sake")
		}, (*cli).run},
		"exec":  {"ID [COMMAND [ARG…]]", "run one more process in a container", 1, -1, execFlags, (*cli).exec},
		"state": {"ID", "print a container's state as JSON", 1, 1, nil, (*cli).state},
		"list": {"", "list containers", 0, 0, func(s *flag.FlagSet, f *flags) {
			formatFlag(s, f)
			s.BoolVar(&f.quiet, "quiet", false, "ids only")
			s.BoolVar(&f.quiet, "q", false, "ids only")
		}, (*cli).list},
		"ps": {"ID [PS-OPTION…]", "list a container's processes", 1, -1, formatFlag, (*cli).ps},
		"kill": {"ID [SIGNAL]", "send a signal (default: TERM) to a container's first process", 1, 2, func(s *flag.FlagSet, f *flags) {
			s.BoolVar(&f.all, "all", false, "to every process of it")
			s.BoolVar(&f.all, "a", false, "to every process of it")
		}, (*cli).kill},
		"delete": {"ID", "remove a container that has stopped", 1, 1, func(s *flag.FlagSet, f *flags) {
			s.BoolVar(&f.force, "force", false, "kill it first; one that there is none of is fine")
			s.BoolVar(&f.force, "f", false, "kill it first; one that there is none of is fine")
		}, (*cli).delete},
		"pause":    {"ID", "freeze every process of a container", 1, 1, nil, onID((*Runtime).Pause)},
		"resume":   {"ID", "thaw them", 1, 1, nil, onID((*Runtime).Resume)},
		"update":   {"ID", "change a container's limits", 1, 1, setUpdateFlags, (*cli).update},
		"events":   {"ID", "print a container's usage as JSON, again and again", 1, 1, eventsFlags, (*cli).events},
		"spec":     {"", "write a config.json to begin with", 0, 0, specFlags, (*cli).spec},
		"features": {"", "print what this runtime can do as JSON", 0, 0, nil, (*cli).features},
	}
}

func createFlags(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.Bundle, "bundle", ".", "folder with config.json")
	s.StringVar(&f.Bundle, "b", ".", "folder with config.json")
	s.BoolVar(&f.NoPivot, "no-pivot", false, "move the root instead of pivot_root, as on an initramfs")
	s.BoolVar(&f.NoKeyring, "no-new-keyring", false, "keep the caller's session keyring")
	processFlags(s, f)
}

func processFlags(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.consoleSocket, "console-socket", "", "unix socket that the terminal's master is sent to")
	s.StringVar(&f.PIDFile, "pid-file", "", "file that the process's PID is written to")
	s.IntVar(&f.Preserve, "preserve-fds", 0, "how many descriptors from 3 on are passed on")
}

func execFlags(s *flag.FlagSet, f *flags) {
	processFlags(s, f)
	for _, n := range []string{"process", "p"} {
		s.StringVar(&f.process, n, "", "file with the process as JSON, as in config.json")
	}
	for _, n := range []string{"detach", "d"} {
		s.BoolVar(&f.detach, n, false, "do not wait")
	}
	for _, n := range []string{"tty", "t"} {
		s.BoolVar(&f.tty, n, false, "with a terminal")
	}
	for _, n := range []string{"user", "u"} {
		s.StringVar(&f.user, n, "", "UID[:GID]")
	}
	for _, n := range []string{"env", "e"} {
		s.Var(&f.env, n, "NAME=value; may be repeated")
	}
	for _, n := range []string{"cap", "c"} {
		s.Var(&f.caps, n, "a capability more; may be repeated")
	}
	for _, n := range []string{"additional-gids", "g"} {
		s.Var(&f.gids, n, "a supplementary group; may be repeated")
	}
	s.StringVar(&f.cwd, "cwd", "", "working directory")
	s.BoolVar(&f.noNewPrivs, "no-new-privs", false, "set no_new_privs")
	s.BoolVar(&f.ignorePaused, "ignore-paused", false, "taken for runc's sake: a paused container is refused")
	s.StringVar(&f.ignoredText, "process-label", "", "taken for runc's sake")
	s.StringVar(&f.ignoredText, "apparmor", "", "taken for runc's sake")
}

func formatFlag(s *flag.FlagSet, f *flags) {
	s.StringVar(&f.format, "format", "table", "table or json")
	s.StringVar(&f.format, "f", "table", "table or json")
}

func eventsFlags(s *flag.FlagSet, f *flags) {
	s.BoolVar(&f.stats, "stats", false, "once")
	s.DurationVar(&f.interval, "interval", 5*time.Second, "how often")
}
