package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coracle/internal/workshop"
)

func cleanupCmd() *cobra.Command {
	var cache bool
	cmd := &cobra.Command{
		Use:   "cleanup [--cache]",
		Short: "Remove what a killed program left; backups stay",
		Long: `Removes control groups whose owner was killed, with the processes in them, and
temporary files of the tool that are older than an hour. With --cache also what
can be built again: test binaries, the base root file system, the virtual
machine's kernel. Never: your exercises, .lab/backup, what is yours.`,
		Example: "  ./lab cleanup\n  ./lab cleanup --cache",
		Args:    atMost(0),
		RunE: func(*cobra.Command, []string) error {
			t, err := tree()
			if err != nil {
				return err
			}
			removed, err := collectGroups()
			files, err2 := stale(t)
			removed, err = append(removed, files...), errors.Join(err, err2)
			if cache {
				files, err2 := caches(t)
				removed, err = append(removed, files...), errors.Join(err, err2)
			}
			for _, path := range removed {
				fmt.Println("removed", path)
			}
			if len(removed) == 0 && err == nil {
				fmt.Println("nothing to clean up")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&cache, "cache", false, "also remove what can be built again")
	return cmd
}

// stale removes what an interrupted write or build left below .lab.
func stale(t *workshop.Tree) (removed []string, err error) {
	for _, pattern := range []string{".lab/.tmp-*", ".lab/cache/.tmp-*", ".lab/cache/verify-bin-*"} {
		paths, _ := filepath.Glob(t.Path(pattern))
		for _, path := range paths {
			if fi, err2 := os.Lstat(path); err2 == nil && time.Since(fi.ModTime()) > time.Hour {
				removed, err = remove(path, removed, err)
			}
		}
	}
	return removed, err
}

// caches removes folders by name, never a whole folder that others may share.
func caches(t *workshop.Tree) (removed []string, err error) {
	paths := []string{t.Path(".lab/cache")}
	if user, err := os.UserCacheDir(); err == nil {
		paths = append(paths, filepath.Join(user, "coracle/base"), filepath.Join(user, "coracle/vm"))
	}
	// Binaries of the tool for other checkouts; this one is running.
	if self, err := os.Executable(); err == nil && strings.HasPrefix(filepath.Base(self), "lab-") {
		others, _ := filepath.Glob(filepath.Join(filepath.Dir(self), "lab-[0-9]*"))
		for _, path := range others {
			if path != self {
				paths = append(paths, path)
			}
		}
	}
	for _, path := range paths {
		if _, err2 := os.Lstat(path); err2 == nil {
			removed, err = remove(path, removed, err)
		}
	}
	return removed, err
}

func remove(path string, removed []string, err error) ([]string, error) {
	if err2 := os.RemoveAll(path); err2 != nil {
		return removed, errors.Join(err, err2)
	}
	return append(removed, path), err
}
