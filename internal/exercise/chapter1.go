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
			{"TestCloneFlags_Kernel", "a child cloned with the flags is in new namespaces, and only in those", 3},
		},
	},
	{
		ID: "1.2", Title: "the re-exec handshake", File: "01-namespaces/handshake.go",
		Minutes: 60, Difficulty: 3, Points: 8, Needs: []string{"1.1"}, Anchor: "12-the-re-exec-handshake",
		Rungs: []Rung{
			{"TestStart_SpecArrives", "the spec goes down the pipe and the program runs", 1},
			{"TestStart_LongSpec", "a spec larger than the pipe arrives too", 2},
			{"TestStart_ErrorComesBack", "what fails in the child is the error of Start", 2},
			{"TestStart_BecomesTheProgram", "the program is PID 1 and holds no descriptor of ours", 3},
			{"TestStart_ReturnsWhenItRuns", "Start returns while the program runs, and nothing is left of one that failed", 3},
		},
	},
}
