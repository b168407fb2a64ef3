package exercise

var chapter1 = []Exercise{
	{
		ID: "1.0", Title: "a greeting", File: "01-namespaces/greet.go",
		Minutes: 10, Difficulty: 1, Points: 2, Anchor: "10-a-greeting",
		Rungs: []Rung{
			{"TestGreet_Name", "the name is greeted", 1},
			{"TestGreet_Nobody", "nobody is an error", 2},
		},
	},
	{
		ID: "1.1", Title: "a sum", File: "01-namespaces/add.go",
		Minutes: 20, Difficulty: 1, Points: 3, Anchor: "11-a-sum",
		Rungs: []Rung{
			{"TestAdd_Two", "two numbers", 1},
			{"TestAdd_Panics", "a bad sum", 2},
			{"TestAdd_Machine", "a machine that nobody has", 3},
		},
	},
}
