package doctor

import "os/exec"

// tools that some command or chapter executes, and who asks for them.
var programs = []struct{ name, why, fix string }{
	{"git", "save and update", "apt-get install git, or: dnf install git"},
	{"nft", "chapter 7; nothing before", "apt-get install nftables, or: dnf install nftables"},
}

func tools() []Check {
	var checks []Check
	for _, p := range programs {
		if path, err := exec.LookPath(p.name); err == nil {
			checks = append(checks, ok(p.name, "%s (for %s)", path, p.why))
		} else if path, err := exec.LookPath("/usr/sbin/" + p.name); err == nil {
			checks = append(checks, ok(p.name, "%s (for %s), not in PATH", path, p.why))
		} else {
			checks = append(checks, warn(p.name, p.fix, "not found; it is for %s", p.why))
		}
	}
	return checks
}
