// Package red fails.
package red

import "testing"

func TestRed(t *testing.T) { t.Error("it is red") }
