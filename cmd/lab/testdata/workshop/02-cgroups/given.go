// Package cgroups is the second half of a workshop in small.
package cgroups

import "coracle/internal/exercise"

func todo(id string) exercise.Mark { return exercise.Todo(id) }
