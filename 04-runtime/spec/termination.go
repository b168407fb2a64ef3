package spec

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/crilog"
)

// What is shown of a container's last words (pkg/kubelet/container/runtime.go).
const (
	MaxMessage     = 4096
	MaxLogMessage  = 2048
	maxLogMessages = 80 // lines
)

// MakeMessageFile makes the file that is bound into a container at its
// terminationMessagePath, empty, and writable by whoever the container runs as.
func MakeMessageFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o666), f.Close()) // whatever the umask is
}

// TerminationMessage is what a container that exited left to say: the end of the file
// that it was given, at most 4096 bytes. With FallbackToLogsOnError, where it failed and
// wrote nothing, the end of its log: at most 80 lines and 2048 bytes.
func TerminationMessage(ctx context.Context, c *corev1.Container, file, log string, exit int) (string, error) {
	message, err := tail(file)
	if err != nil || message != "" || exit == 0 || c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		return message, err
	}
	var out lastBytes
	err = crilog.Read(ctx, log, crilog.ReadOptions{Tail: maxLogMessages}, &out, &out)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return clean(out), err
}

// lastBytes keeps the end of what is written: a line of a log may be as long as the log.
type lastBytes []byte

func (l *lastBytes) Write(p []byte) (int, error) {
	*l = append(*l, p...)
	*l = append((*l)[:0], (*l)[max(0, len(*l)-MaxLogMessage):]...)
	return len(p), nil
}

func tail(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, fi.Size()-MaxMessage), MaxMessage))
	return clean(b), err
}

// clean keeps what JSON can carry.
func clean(b []byte) string { return strings.ToValidUTF8(string(b), "") }
