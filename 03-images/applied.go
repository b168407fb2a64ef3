package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// ApplyOptions are what Apply may do and how.
type ApplyOptions struct {
	MaxBytes   int64  // of the tar, and of its files' sizes together; 0: DefaultMaxBytes
	MaxEntries int    // files and folders; 0: DefaultMaxEntries
	Owners     Owners // how owners are kept
	// Plain: no overlay will hide a file. The folder holds the layers below already;
	// what a whiteout names is removed, and what an entry names is replaced.
	Plain bool
}

// Applied is what Apply did.
type Applied struct {
	// Implicit are the folders that no entry named, parents first, "." too. AddLayer
	// gives them what they have in the layers below.
	Implicit []string
	Size     int64 // bytes of all files
	Entries  int   // files and folders
}

const (
	DefaultMaxBytes   = 32 << 30
	DefaultMaxEntries = 2 << 20

	maxRemembered = 64 << 20 // bytes of names that are kept in memory until the end
	maxFolders    = 512      // folders in folders: each step to a file takes its time
)

// DiffOptions say what a layer must not tell about the machine it was made on.
type DiffOptions struct {
	Epoch  time.Time // every time that is later becomes this; zero: none does
	Owners Owners    // how owners are kept
}

var errTwice = errors.New("a second entry of this name")

// once words the error of making a name that is there.
func once(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return errTwice
	}
	return err
}

// because leaves paths out of an error: the entry is named once, by Apply. The words
// around it stay, and errors.Is finds in it what it found before.
func because(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	var s *os.SyscallError
	var long, short string
	switch {
	case strings.HasSuffix(err.Error(), "path escapes from parent"): // os.Root's, which has no name
		long, short = err.Error(), "it escapes from the folder through a link"
	case errors.As(err, &p):
		long, short = p.Error(), strings.TrimSuffix(p.Op, "at")+": "+p.Err.Error()
	case errors.As(err, &l):
		long, short = l.Error(), strings.TrimSuffix(l.Op, "at")+": "+l.Err.Error()
	case errors.As(err, &s):
		long, short = s.Error(), s.Err.Error()
	default:
		return err
	}
	return worded{strings.Replace(err.Error(), long, short, 1), err}
}

// worded is an error in other words.
type worded struct {
	text string
	err  error
}

func (w worded) Error() string { return w.text }
func (w worded) Unwrap() error { return w.err }

// shortName is an entry's name for an error: one line, whatever is in it.
func shortName(name string) string {
	if len(name) > 100 {
		return fmt.Sprintf("%.60q…%q", name, name[len(name)-30:])
	}
	return fmt.Sprintf("%q", name)
}
