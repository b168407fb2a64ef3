// Package namespaces is a workshop in small.
package namespaces

import "coracle/internal/exercise"

func todo(id string) exercise.Mark { return exercise.Todo(id) }
