package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
)

func TestEvents_PrintWhatGoTestWould(t *testing.T) {
	const in = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    a_test.go:1: why\n"}
{"Action":"fail","Package":"p","Test":"TestA/sub"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"2 of 3 written\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
`
	read := func(verbose bool) (*events, string) {
		var out strings.Builder
		e := &events{out: &out, verbose: verbose, outcome: map[string]string{}, held: map[string]string{}}
		require.NoError(t, e.read(strings.NewReader(in)))
		return e, out.String()
	}
	e, out := read(false)
	assert.Equal(t, "    a_test.go:1: why\n--- FAIL: TestA (0.00s)\nFAIL\tp\t0.1s\n", out)
	assert.True(t, e.passed(exercise.Exercise{Rungs: []exercise.Rung{{Test: "TestB"}}}))
	assert.False(t, e.passed(exercise.Exercise{Rungs: []exercise.Rung{{Test: "TestB"}, {Test: "TestA"}}}))
	assert.False(t, e.passed(exercise.Exercise{}), "no test is no proof")
	_, out = read(true)
	assert.Contains(t, out, "=== RUN   TestA\n")
	assert.Contains(t, out, "quiet\n")
	e = &events{out: new(strings.Builder), outcome: map[string]string{}, held: map[string]string{}}
	assert.ErrorContains(t, e.read(strings.NewReader("no json\n")), "test events")
}
