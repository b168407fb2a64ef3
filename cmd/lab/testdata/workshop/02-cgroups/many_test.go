package cgroups

import (
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestMany(t *testing.T) {
	exercise.Need(t, "2.1", "1.0")
	got, err := Many("Ada", "Ken")
	check.NoError(t, "Many(Ada, Ken)", err)
	check.Equal(t, "Many(Ada, Ken)", []string{"hello, Ada", "hello, Ken"}, got)
}
