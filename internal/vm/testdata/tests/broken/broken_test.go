// Package broken compiles only when laid over.
package broken

import "testing"

func TestBroken(t *testing.T) { undefined() }
