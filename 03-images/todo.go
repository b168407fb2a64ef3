package images

import "coracle/internal/exercise"

// todo marks an exercise of this package as unwritten; delete its line in the
// exercise's file when you start.
func todo(id string) exercise.Mark { return exercise.Todo(id) }
