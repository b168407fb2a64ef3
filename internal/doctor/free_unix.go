package doctor

import "golang.org/x/sys/unix"

func freeMB(dir string) uint64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 1 << 40
	}
	return st.Bavail * uint64(st.Bsize) >> 20
}
