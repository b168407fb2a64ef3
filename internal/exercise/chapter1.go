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
}
