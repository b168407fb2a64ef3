//go:build linux

package vm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/vm"
)

const fixtures = "./internal/vm/testdata/tests/"

func checkout(t *testing.T) string {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return root
}

func TestTest_ReportsLikeGoTest(t *testing.T) {
	ctx := needMachine(t)
	var out bytes.Buffer
	code, err := vm.Test(ctx, vm.TestSpec{ModuleRoot: checkout(t), Packages: []string{fixtures + "..."}}, &out)
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	got := regexp.MustCompile(`\d+\.\d+s`).ReplaceAllString(out.String(), "N")
	assert.Equal(t, `# coracle/internal/vm/testdata/tests/broken [coracle/internal/vm/testdata/tests/broken.test]
internal/vm/testdata/tests/broken/broken_test.go:6:33: undefined: undefined
FAIL	coracle/internal/vm/testdata/tests/broken [build failed]
?   	coracle/internal/vm/testdata/tests/none	[no test files]
ok  	coracle/internal/vm/testdata/tests/green	N
--- FAIL: TestRed (N)
    red_test.go:6: it is red
FAIL
FAIL	coracle/internal/vm/testdata/tests/red	N
FAIL
`, got)
}

// With an overlay, as the other user, verbose.
func TestTest_Overlay(t *testing.T) {
	ctx := needMachine(t)
	root, dir := checkout(t), t.TempDir()
	whole, overlay := filepath.Join(dir, "whole.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(whole, []byte("package broken\n\nfunc undefined() {}\n"), 0o644))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, fixtures, "broken/whole.go"): whole}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, text, 0o644))
	var out bytes.Buffer
	code, err := vm.Test(ctx, vm.TestSpec{ModuleRoot: root, Packages: []string{fixtures + "broken", fixtures + "green"}, Overlay: overlay,
		User: "learner", Args: []string{"-v", "-run", "Broken|Green"}}, &out)
	require.NoError(t, err)
	assert.Zero(t, code, out.String())
	for _, want := range []string{"--- PASS: TestBroken", "--- PASS: TestGreen", "uid 1000\n", "PASS\nok  \tcoracle/internal/vm/testdata/tests/green\t"} {
		assert.Contains(t, out.String(), want)
	}
	assert.NotContains(t, out.String(), "TestSkipped")
}

func TestTest_JSON(t *testing.T) {
	ctx := needMachine(t)
	var out bytes.Buffer
	code, err := vm.Test(ctx, vm.TestSpec{ModuleRoot: checkout(t), Packages: []string{fixtures + "red", fixtures + "green"}, JSON: true}, &out)
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	ends := map[string]string{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var event struct{ Action, Package, Test string }
		require.NoError(t, dec.Decode(&event))
		if event.Action == "pass" || event.Action == "fail" || event.Action == "skip" {
			ends[filepath.Base(event.Package)+"/"+event.Test] = event.Action
		}
	}
	assert.Equal(t, map[string]string{"red/": "fail", "red/TestRed": "fail", "green/": "pass", "green/TestGreen": "pass", "green/TestSkipped": "skip"}, ends)
}

func TestTest_BadInput(t *testing.T) {
	for want, spec := range map[string]vm.TestSpec{
		"want a duration such as 90s": {Packages: []string{fixtures + "green"}, Args: []string{"-timeout=soon"}},
		"matches no packages":         {Packages: []string{"./internal/vm/testdata/tests/green/testdata/..."}},
		"directory not found":         {Packages: []string{"./nowhere"}},
	} {
		spec.ModuleRoot = checkout(t)
		_, err := vm.Test(t.Context(), spec, &bytes.Buffer{})
		assert.ErrorContains(t, err, want)
	}
}
