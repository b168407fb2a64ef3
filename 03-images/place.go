package images

import (
	"fmt"
	"os"
	"path/filepath"
)

// Place is the folder of the store: dir, else $CORACLE_STORE, else
// /var/lib/coracle/images for root and $XDG_DATA_HOME/coracle/images for others.
//
// $CORACLE_STORE is set to it: a process in a user namespace, where everybody is
// root, finds the same.
func Place(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("CORACLE_STORE")
	}
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/lib/coracle/images"
	} else if dir == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("no place for the store (%w): set CORACLE_STORE, or give --store", err)
			}
			data = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(data, "coracle", "images")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.Setenv("CORACLE_STORE", dir)
}
