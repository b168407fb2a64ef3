package trial

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"coracle/internal/sandbox"
)

func TestCannot_IsTheSandboxesWord(t *testing.T) { assert.Equal(t, sandbox.Cannot, cannot) }
