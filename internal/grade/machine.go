package grade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"coracle/internal/base"
	"coracle/internal/vm"
)

// planVar names the file of units that a guest's lab is to judge.
const planVar = "CORACLE_GRADE_PLAN"

// inMachine boots a virtual machine, judges the units there and brings the
// results back: the same kernel for everyone, and an attack ends with it.
func inMachine(ctx context.Context, root string, units []unit) ([][]Rung, error) {
	plan, err := json.Marshal(units)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	base, err := base.Ensure(ctx, root) // tests run a shell and a few tools
	if err != nil {
		return nil, err
	}
	limit := 30 * time.Second
	files := []vm.File{{Host: exe, Guest: "/coracle/lab", Mode: 0o755}, {Data: plan, Guest: "/coracle/plan.json"}}
	seen := map[string]bool{}
	for _, u := range units {
		limit += time.Duration(len(u.Tests)) * (u.Limits.Time + grace)
		if dir := filepath.Dir(u.Bin); !seen[dir] {
			seen[dir] = true
			files = append(files, vm.File{Host: dir, Guest: dir})
		}
	}
	var out, diag bytes.Buffer
	results, err := vm.Run(ctx, vm.Config{Root: base, ModuleRoot: root, Programs: []string{"newuidmap", "newgidmap"}}, files,
		[]vm.Command{{Args: []string{"/coracle/lab"}, Env: []string{planVar + "=/coracle/plan.json"}, Dir: "/", Timeout: limit, Stdout: &out, Stderr: &diag}}, &out, &diag)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || results[0].Code != 0 {
		return nil, fmt.Errorf("the grader in the virtual machine failed: %v: %s", results, diag.String())
	}
	var all [][]Rung
	if err := json.Unmarshal(out.Bytes(), &all); err != nil || len(all) != len(units) {
		return nil, errors.Join(errors.New("the grader in the virtual machine answered with something else"), err)
	}
	return all, nil
}

// guest judges the plan in a virtual machine and writes the results to standard
// output.
func guest(ctx context.Context) (code int, is bool) {
	file := os.Getenv(planVar)
	if file == "" {
		return 0, false
	}
	os.Unsetenv(planVar)
	all := [][]Rung{}
	data, err := os.ReadFile(file)
	var units []unit
	if err == nil {
		err = json.Unmarshal(data, &units)
	}
	for _, u := range units {
		var rungs []Rung
		if err == nil {
			rungs, err = judge(ctx, u)
		}
		all = append(all, rungs)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(all)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab grade:", err)
		return 125, true
	}
	return 0, true
}
