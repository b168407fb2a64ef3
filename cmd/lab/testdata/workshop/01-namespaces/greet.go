package namespaces

import "coracle/internal/exercise"

// Exercise 1.0: a greeting.
//
// Delete this line when you start:
var _ = todo("1.0")

// Greet returns "hello, NAME"; an empty name is an error.
func Greet(name string) (string, error) {
	return "", exercise.Unwritten("1.0")
}
