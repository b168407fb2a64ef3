package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"golang.org/x/sys/unix"
)

// run plans a RUN.
func (p *planner) run(i *instructions.RunCommand, node *parser.Node) error {
	for _, flag := range i.FlagsUsed {
		if flag != "network" {
			return fmt.Errorf("RUN --%s is not built here", flag)
		}
	}
	s := Step{Kind: Run, User: p.state.Config.Config.User, Dir: path.Join("/", p.state.Config.Config.WorkingDir)}
	s.Offline = p.stage.offline || instructions.GetNetwork(i) == instructions.NetworkNone
	if err := heredoc(i, &s); err != nil {
		return err
	}
	s.Args = p.line(i.ShellDependantCmdLine)
	if len(s.Args) == 0 || s.Args[0] == "" {
		return errors.New("RUN: no command")
	}
	s.Env = p.scope().all()
	s.Proxy = proxies(p.stage.args, s.Env)
	p.step(s, node, "RUN "+strings.Join(s.Args, " "))
	return nil
}

// heredoc puts here-documents into the command line. One that stands alone is the
// script, with a #! line as a file of its own; others are left to the shell.
func heredoc(i *instructions.RunCommand, s *Step) error {
	if len(i.Files) == 0 {
		return nil
	}
	if len(i.CmdLine) != 1 || !i.PrependShell {
		return errors.New("RUN: a here-document needs the shell form")
	}
	first := i.Files[0]
	if parser.MustParseHeredoc(i.CmdLine[0]) == nil {
		line := i.CmdLine[0]
		for _, f := range i.Files {
			line += "\n" + f.Data + f.Name
		}
		i.CmdLine = []string{line}
		return nil
	}
	data := first.Data
	if first.Chomp {
		data = parser.ChompHeredocContent(data)
	}
	i.CmdLine = []string{data}
	if strings.HasPrefix(data, "#!") {
		s.Script = &Inline{path.Base(path.Join("/", first.Name)), data}
		i.CmdLine, i.PrependShell = []string{scripts + "/" + s.Script.Name}, false
	}
	return nil
}

// scripts is where a here-document with a #! line is while it runs. BuildKit has it
// in /dev/pipes, and a /dev of its making.
const scripts = "/.heredoc"

// copy plans a COPY.
func (p *planner) copy(i *instructions.CopyCommand, node *parser.Node) error {
	if i.Parents {
		return errors.New("COPY --parents is not built here")
	}
	s := Step{Kind: Copy, FromStage: -1, Exclude: i.ExcludePatterns}
	if i.From != "" {
		n, ok, err := sourceStage(i.From, p.stage.earlier)
		if err != nil {
			return err
		}
		if s.FromStage = n; !ok {
			s.FromStage, s.FromImage = -1, i.From
		}
		if strings.Contains(i.From, "$") {
			return fmt.Errorf("COPY --from=%s: no variables here: name a stage with FROM $… AS name", i.From)
		}
	}
	return p.place(s, i.SourcesAndDest, i.Chown, i.Chmod, node)
}

// add plans an ADD.
func (p *planner) add(i *instructions.AddCommand, node *parser.Node) error {
	if i.Checksum != "" || i.KeepGitDir != nil {
		return errors.New("ADD --checksum and --keep-git-dir are for what is downloaded, which is not built here")
	}
	for _, src := range i.SourcePaths {
		if strings.Contains(src, "://") || strings.HasPrefix(src, "git@") || strings.HasPrefix(src, "github.com/") {
			return fmt.Errorf("ADD %s: nothing is downloaded here: fetch it first and COPY it, or fetch it in a RUN", src)
		}
	}
	s := Step{Kind: Copy, FromStage: -1, Exclude: i.ExcludePatterns, Unpack: i.Unpack == nil || *i.Unpack}
	return p.place(s, i.SourcesAndDest, i.Chown, i.Chmod, node)
}

// place plans what COPY and ADD have in common.
func (p *planner) place(s Step, sd instructions.SourcesAndDest, chown, chmod string, node *parser.Node) error {
	what := strings.ToUpper(node.Value)
	s.Sources = slices.Clone(sd.SourcePaths)
	for _, c := range sd.SourceContents {
		s.Files = append(s.Files, Inline{path.Base(path.Join("/", c.Path)), c.Data})
	}
	dest := sd.DestPath
	folder := strings.HasSuffix(dest, "/") || path.Base(dest) == "." || path.Base(dest) == ".." || dest == ""
	if len(s.Sources)+len(s.Files) > 1 && !folder {
		return fmt.Errorf("%s of more than one source to %s: a folder's name ends in /", what, dest)
	}
	if !path.IsAbs(dest) {
		dest = path.Join("/", p.state.Config.Config.WorkingDir, dest)
	}
	s.Dest, s.Chown = path.Clean(dest), chown
	if folder && s.Dest != "/" {
		s.Dest += "/"
	}
	if chmod != "" {
		m, err := strconv.ParseUint(chmod, 8, 32)
		if err != nil || m > 0o7777 {
			return fmt.Errorf("%s --chmod=%s: want octal digits up to 7777, such as 755", what, chmod)
		}
		mode := unixMode(uint32(m))
		s.Chmod = &mode
	}
	said := []string{what}
	if chown != "" {
		said = append(said, "--chown="+chown)
	}
	if chmod != "" {
		said = append(said, "--chmod="+chmod)
	}
	said = append(said, s.Sources...)
	for _, f := range s.Files {
		said = append(said, "<<"+f.Name)
	}
	p.step(s, node, strings.Join(append(said, sd.DestPath), " "))
	return nil
}

// unixMode makes a fs.FileMode of permissions as chmod(1) writes them.
func unixMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// validSignal refuses what no kernel knows: SIGTERM, TERM and 15 are right.
func validSignal(s string) error {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= 64 {
		return nil
	}
	if unix.SignalNum("SIG"+strings.TrimPrefix(strings.ToUpper(s), "SIG")) != 0 || strings.HasPrefix(strings.ToUpper(s), "SIGRT") {
		return nil
	}
	return fmt.Errorf("STOPSIGNAL %s: no such signal", s)
}

// ports reads EXPOSE: PORT[-PORT][/tcp|udp|sctp].
func (p *planner) ports(words []string) ([]string, error) {
	var list []string
	for _, word := range words {
		text, err := p.file.expand(word, p.scope())
		if err != nil {
			return nil, err
		}
		for _, port := range strings.Fields(text) {
			ports, err := portRange(port)
			if err != nil {
				return nil, fmt.Errorf("EXPOSE %s: %w", port, err)
			}
			list = append(list, ports...)
		}
	}
	return list, nil
}

func portRange(s string) ([]string, error) {
	numbers, proto, _ := strings.Cut(s, "/")
	switch proto = strings.ToLower(proto); proto {
	case "":
		proto = "tcp"
	case "tcp", "udp", "sctp":
	default:
		return nil, fmt.Errorf("the protocol %q: want tcp, udp or sctp", proto)
	}
	from, to, isRange := strings.Cut(numbers, "-")
	if !isRange {
		to = from
	}
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || b < a {
		return nil, errors.New("want a port up to 65535, or two with - between them")
	}
	var ports []string
	for n := a; n <= b; n++ {
		ports = append(ports, fmt.Sprintf("%d/%s", n, proto))
	}
	return ports, nil
}
