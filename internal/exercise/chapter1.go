package exercise

var chapter1 = []Exercise{
	{
		ID: "1.0", Title: "which namespaces am I in?", File: "01-namespaces/current.go",
		Minutes: 10, Difficulty: 1, Points: 2, Anchor: "10-which-namespaces-am-i-in",
		Rungs: []Rung{
			{"TestCurrent_NamesEveryNamespace", "every namespace of /proc/self/ns is named", 1},
			{"TestCurrent_SeesAChildsNamespaces", "another process's namespaces are told from yours", 2},
			{"TestCurrent_NoSuchProcess", "a process that is gone is an error that names it", 2},
		},
	},
	{
		ID: "1.1", Title: "clone flags from a spec", File: "01-namespaces/clone.go",
		Minutes: 15, Difficulty: 1, Points: 3, Anchor: "11-clone-flags-from-a-spec",
		Rungs: []Rung{
			{"TestCloneFlags_OneEach", "each kind of namespace has its flag", 1},
			{"TestCloneFlags_Together", "several flags are one number", 2},
			{"TestCloneFlags_JoinedIsNotNew", "a namespace to join gives no flag", 2},
			{"TestCloneFlags_Refuses", "what clone cannot do is an error that names it", 2},
			{"TestCloneFlags_Kernel", "a child gets these new namespaces, and no others", 3},
		},
	},
	{
		ID: "1.2", Title: "the re-exec handshake", File: "01-namespaces/handshake.go",
		Minutes: 60, Difficulty: 3, Points: 8, Needs: []string{"1.1"}, Anchor: "12-the-re-exec-handshake",
		Rungs: []Rung{
			{"TestStart_SpecArrives", "the spec goes down the pipe and the program runs", 1},
			{"TestStart_LongSpec", "a spec larger than the pipe arrives too", 2},
			{"TestStart_ErrorComesBack", "what fails in the child is the error of Start", 2},
			{"TestStart_BecomesTheProgram", "the program is PID 1 and holds no descriptor of ours", 2},
			{"TestStart_ReturnsWhenItRuns", "Start returns at execve, and a failure leaves nothing", 2},
		},
	},
	{
		ID: "1.3", Title: "pivot_root with private propagation", File: "01-namespaces/pivot.go",
		Minutes: 45, Difficulty: 2, Points: 5, Anchor: "13-pivot_root-with-private-propagation",
		Rungs: []Rung{
			{"TestPivotRoot_TheDirectoryIsTheRoot", "the directory is /, with what was mounted below it", 2},
			{"TestPivotRoot_NothingPropagates", "where mounts are shared, yours stay inside", 1},
			{"TestPivotRoot_NoWayBack", "the old root is gone, also for a process that tries", 2},
			{"TestPivotRoot_Readonly", "/ is read-only, a mount below it is not", 2},
			{"TestPivotRoot_RefusesFilesAndLinks", "a root that is a file or a link is one clear error", 1},
		},
	},
	{
		ID: "1.4", Title: "/proc, /sys, /dev", File: "01-namespaces/system.go",
		Minutes: 60, Difficulty: 2, Points: 6, Anchor: "14-proc-sys-dev",
		Rungs: []Rung{
			{"TestMountSystem_Proc", "/proc is the new PID namespace's, and harmless", 2},
			{"TestMountSystem_Sys", "/sys is read-only, also where it must be the caller's", 1},
			{"TestMountSystem_Nodes", "the six device nodes work, with and without real root", 2},
			{"TestMountSystem_Terminals", "/dev/pts, shm, mqueue and the links are as programs expect", 2},
			{"TestMountSystem_LinksLeadNowhere", "a root with links is refused, nothing is mounted through one", 3},
		},
	},
	{
		ID: "1.5", Title: "masked and read-only paths", File: "01-namespaces/mask.go",
		Minutes: 35, Difficulty: 2, Points: 4, Anchor: "15-masked-and-read-only-paths",
		Rungs: []Rung{
			{"TestMask_Covers", "a masked file reads as empty, a masked directory lists nothing", 2},
			{"TestMask_SkipsWhatIsMissing", "a path that does not exist hinders no other", 1},
			{"TestMask_OnlyTheNullDevice", "a /dev/null that is something else is an error", 3},
			{"TestReadonly_Tree", "nothing below the path can be written, mounts included", 2},
			{"TestReadonly_LockedFlags", "it works in a user namespace, where flags are locked", 1},
		},
	},
	{
		ID: "1.6", Title: "id maps: rootless", File: "01-namespaces/idmap.go",
		Minutes: 50, Difficulty: 2, Points: 5, Anchor: "16-id-maps-rootless",
		Rungs: []Rung{
			{"TestIDMap_Format", "a map is text, and one that the kernel would refuse is an error", 2},
			{"TestIDMap_HostID", "an id inside is an id outside, or not mapped", 2},
			{"TestIDMap_Plan", "who may write what: setgroups first, tools for ranges", 1},
			{"TestMapIDs_Kernel", "a process in a user namespace is root there and you outside", 2},
			{"TestMapIDs_Tools", "newuidmap and newgidmap do what they are told; their errors fit one line", 3},
		},
	},
	{
		ID: "1.7", Title: "joining a running process", File: "01-namespaces/join.go",
		Minutes: 45, Difficulty: 3, Points: 6, Anchor: "17-joining-a-running-process",
		Rungs: []Rung{
			{"TestJoin_Enters", "a program runs in another process's namespaces, and nothing is joined twice", 1},
			{"TestJoin_ForksForPID", "it is in the PID namespace itself, not only its children", 2},
			{"TestJoin_UserFirstWithoutAdmin", "an ordinary user gets in, by the user namespace", 2},
			{"TestJoin_UserLastWithAdmin", "root gets in where the network is the machine's, and is root there", 2},
			{"TestJoin_Errors", "what is no such namespace is an error that names it, and leaks nothing", 3},
		},
	},
	{
		ID: "1.8", Title: "capabilities and no_new_privs", File: "01-namespaces/caps.go",
		Minutes: 40, Difficulty: 2, Points: 5, Anchor: "18-capabilities-and-no_new_privs",
		Rungs: []Rung{
			{"TestSetCapabilities_Names", "a name that is no capability is an error, before anything changes", 1},
			{"TestSetCapabilities_Sets", "all five sets are as asked, above bit 31 too", 2},
			{"TestSetCapabilities_Execve", "no execve gives anything back, to root or to others", 2},
			{"TestSetCapabilities_NotHeld", "what the caller does not have is not an error", 2},
			{"TestSetCapabilities_NoNewPrivs", "no_new_privs is set if asked, and only then", 1},
		},
	},
	{
		ID: "1.9", Title: "a seccomp filter", File: "01-namespaces/seccomp.go",
		Minutes: 50, Difficulty: 2, Points: 6, Anchor: "19-a-seccomp-filter",
		Rungs: []Rung{
			{"TestFilter_Decides", "the calls that are named fail, the others work", 2},
			{"TestFilter_Architecture", "a call by another architecture's numbers ends the process", 2},
			{"TestFilter_ManyCalls", "three hundred calls are not too many, five thousand are an error", 3},
			{"TestInstallFilter_Kernel", "the kernel takes it and does what it says", 2},
			{"TestInstallFilter_Errors", "what the kernel refuses is an error that says why", 1},
		},
	},
}
