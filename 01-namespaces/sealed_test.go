package namespaces

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

func TestSealedSelf_CannotBeWritten(t *testing.T) {
	exe, err := sealedSelf()
	check.NoError(t, "make a sealed copy of this program", err)
	defer exe.Close()
	_, err = exe.WriteAt([]byte("x"), 0)
	check.ErrorIs(t, "write to it", err, unix.EPERM)
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), os.O_RDWR, 0)
	check.NoError(t, "open it again, as root of a container may", err)
	defer again.Close()
	_, err = again.WriteAt([]byte("x"), 0)
	check.ErrorIs(t, "write to it", err, unix.EPERM)
	check.ErrorIs(t, "cut it off", again.Truncate(0), unix.EPERM)
}
