package exercise

var chapter2 = []Exercise{
	{
		ID: "2.1", Title: "memory limits, and knowing that it was the OOM killer", File: "02-cgroups/memory.go",
		Minutes: 30, Difficulty: 1, Points: 4, Anchor: "21-memory-limits-and-knowing-that-it-was-the-oom-killer",
		Rungs: []Rung{
			{"TestMemory_Values", "a limit becomes the right files", 1},
			{"TestParseKeyed", "memory.events is read, foreign lines refused", 2},
			{"TestOOMKilled", "the OOM killer is told from kill -9", 2},
			{"TestMemory_LimitTrips", "in a real group the limit kills, and the counter tells", 3},
		},
	},
	{
		ID: "2.2", Title: "the tree and subtree_control", File: "02-cgroups/tree.go",
		Minutes: 40, Difficulty: 2, Points: 5, Anchor: "22-the-tree-and-subtree_control",
		Rungs: []Rung{
			{"TestSubtreeControl", "the line for subtree_control", 1},
			{"TestChild_MakesAGroup", "a group is made and found again", 1},
			{"TestRemove_DepthFirst", "a tree is removed, a busy one is not", 2},
			{"TestEnable_MovesProcessesToALeaf", "a group with processes is divided", 3},
			{"TestEnable_ThreadedControllers", "cpu and pids do not make the children invalid", 3},
		},
	},
	{
		ID: "2.3", Title: "born in the group", File: "02-cgroups/born.go",
		Minutes: 25, Difficulty: 2, Points: 4, Anchor: "23-born-in-the-group",
		Rungs: []Rung{
			{"TestStart_InTheGroup", "the child is in the group", 1},
			{"TestStart_BeforeItsFirstInstruction", "and was before it executed anything", 2},
			{"TestStart_LeavesNothing", "attributes are kept, descriptors closed", 3},
			{"TestStart_ErrorsNameTheGroup", "a group that is gone or full is an error", 3},
		},
	},
	{
		ID: "2.4", Title: "CPU quota and weight from milli-CPUs", File: "02-cgroups/cpu.go",
		Minutes: 30, Difficulty: 1, Points: 4, Anchor: "24-cpu-quota-and-weight-from-milli-cpus",
		Rungs: []Rung{
			{"TestSharesFromMilliCPU", "a request in v1's shares", 1},
			{"TestWeightFromShares", "shares as v2's weight", 1},
			{"TestQuotaFromMilliCPU", "a limit as a quota", 1},
			{"TestCPU_Values", "both as files", 2},
			{"TestCPU_QuotaHolds", "in a real group the quota holds", 3},
		},
	},
	{
		ID: "2.5", Title: "pids: the contained fork bomb", File: "02-cgroups/pids.go",
		Minutes: 30, Difficulty: 2, Points: 4, Anchor: "25-pids-the-contained-fork-bomb", Needs: []string{"2.1"},
		Rungs: []Rung{
			{"TestPids_Values", "a limit becomes a file", 1},
			{"TestHeadroom", "the least of all levels counts", 1},
			{"TestPidsLevels", "the levels of a real group are read", 2},
			{"TestPids_ForkBomb", "a fork bomb is contained, and counted", 3},
		},
	},
	{
		ID: "2.6", Title: "usage, rates and pressure", File: "02-cgroups/usage.go",
		Minutes: 40, Difficulty: 2, Points: 5, Anchor: "26-usage-rates-and-pressure", Needs: []string{"2.1"},
		Rungs: []Rung{
			{"TestParsePressure", "a pressure file is read", 1},
			{"TestRate", "two samples make rates", 1},
			{"TestSample_CountsWork", "a real group's usage is counted", 2},
			{"TestSample_SeesPressure", "and its waiting", 3},
		},
	},
	{
		ID: "2.7", Title: "freeze and kill a tree", File: "02-cgroups/kill.go",
		Minutes: 45, Difficulty: 3, Points: 6, Anchor: "27-freeze-and-kill-a-tree", Needs: []string{"2.1"},
		Rungs: []Rung{
			{"TestPopulated_SeesTheWholeTree", "a process further down counts", 1},
			{"TestFreeze_ReturnsOnceAllStand", "frozen is awaited, not assumed", 2},
			{"TestFreeze_Again", "what is so already is not waited for, an ended context is noticed", 2},
			{"TestKill_TheWholeTree", "no process survives, wherever it is", 3},
			{"TestKill_AFrozenForkBomb", "not even one that forks or stands still", 3},
		},
	},
}
