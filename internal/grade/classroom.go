package grade

import (
	"encoding/json"
	"math"

	"coracle/internal/exercise"
)

// ClassroomFile is GitHub Classroom's list of what to run.
const ClassroomFile = ".github/classroom/autograding.json"

type classroomTest struct {
	Name       string `json:"name"`
	Setup      string `json:"setup"`
	Run        string `json:"run"`
	Input      string `json:"input"`
	Output     string `json:"output"`
	Comparison string `json:"comparison"`
	Timeout    int    `json:"timeout"` // minutes
	Points     int    `json:"points"`
}

// Classroom is ClassroomFile for a table: each exercise is one call of lab grade.
func Classroom(es []exercise.Exercise) []byte {
	list := struct {
		Tests []classroomTest `json:"tests"`
	}{}
	for _, e := range es {
		minutes := math.Ceil((float64(len(e.Rungs))*(DefaultLimits.Time+grace).Seconds() + 120) / 60)
		list.Tests = append(list.Tests, classroomTest{
			Name: e.ID + " " + e.Title, Run: "sh .github/classroom/grade.sh " + e.ID,
			Comparison: "included", Timeout: int(minutes), Points: e.Points,
		})
	}
	data, _ := json.MarshalIndent(list, "", "  ")
	return append(data, '\n')
}
