package vm_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coracle/internal/vm"
)

// machine skips where there is no virtual machine to be had, with the command that helps.
func needMachine(t *testing.T) {
	t.Helper()
	for _, p := range vm.Doctor() {
		t.Skip(p)
	}
	if testing.Short() || !vm.Offline() && os.Getenv("CI") == "" {
		t.Skip("")
	}
}

func TestTry(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs strings.Builder
	cfg := vm.Config{Log: os.Stderr, OnReady: func(b vm.Boot) { t.Logf("%+v", b) }, Console: os.Stderr}
	if s := os.Getenv("DISK"); s != "" {
		cfg.DiskMB = 512
	}
	cfg.Programs = []string{"sh", "ls", "cat", "mount", "nft", "newuidmap", "newgidmap", "unshare", "id"}
	r, err := vm.Run(ctx, cfg, nil, []vm.Command{
		{Args: []string{"sh", "-c", "id; cat /proc/self/cgroup /sys/fs/cgroup/cgroup.controllers /proc/mounts /proc/meminfo /proc/modules; ls /; exit 3"}},
		{Args: []string{"sh", "-c", "id; cat /proc/self/cgroup; unshare -Umr id"}, User: "learner"},
	}, &out, &errs)
	t.Logf("%+v\n%s%s", r, out.String(), errs.String())
	require.NoError(t, err)
}
