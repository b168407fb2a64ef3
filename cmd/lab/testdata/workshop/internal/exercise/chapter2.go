package exercise

var chapter2 = []Exercise{
	{
		ID: "2.1", Title: "greetings for many", File: "02-cgroups/many.go",
		Minutes: 70, Difficulty: 2, Points: 5, Needs: []string{"1.0"}, Anchor: "21-greetings-for-many",
		Rungs: []Rung{{"TestMany", "each is greeted", 1}},
	},
}
