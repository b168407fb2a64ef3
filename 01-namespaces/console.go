package namespaces

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A terminal is a pair: the program has the slave as its stdio and controlling
// terminal, the caller reads and writes the master. The pair is allocated in the
// child's own devpts, so that /dev/pts inside shows it and tty(1) names it; the
// master goes up to the caller over a unix socket (unix(7), SCM_RIGHTS).
//
//	caller's terminal, raw ── copy ── master ═ line discipline ═ slave ── program
//	caller ◀─ SCM_RIGHTS over Stdio.Console ─ child

// openTerminal is OpenTerminal with the size of the caller's, which is still the
// standard input here. A size that came later would be too late for a program that
// asks at once.
func openTerminal(owner *User) error {
	uid := -1
	if owner != nil {
		uid = owner.UID
	}
	size, _ := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	_, err := OpenTerminal(consoleFD, uid, size)
	return err
}

// OpenTerminal makes the pair, sends the master over the socket conn and takes the
// slave as stdio and controlling terminal. The session is the process's own already.
// The slave, whose path is returned, belongs to uid unless that is -1.
func OpenTerminal(conn, uid int, size *unix.Winsize) (name string, err error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("terminal: open /dev/ptmx: %w", err)
	}
	defer unix.Close(master)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return "", fmt.Errorf("terminal: unlock: %w", err)
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return "", fmt.Errorf("terminal: number: %w", err)
	}
	name = "/dev/pts/" + strconv.Itoa(int(n))
	// Not by its name, which an image could have made a link of.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return "", fmt.Errorf("terminal: open %s: %w", name, errno)
	}
	slave := int(peer)
	if uid >= 0 {
		if err := unix.Fchown(slave, uid, -1); err != nil {
			return "", fmt.Errorf("terminal: chown %s: %w", name, err)
		}
	}
	if size != nil {
		unix.IoctlSetWinsize(slave, unix.TIOCSWINSZ, size)
	}
	if err := unix.Sendmsg(conn, []byte(name), unix.UnixRights(master), nil, 0); err != nil {
		return "", fmt.Errorf("terminal: send its master: %w", err)
	}
	if err := unix.IoctlSetInt(slave, unix.TIOCSCTTY, 0); err != nil {
		return "", fmt.Errorf("terminal: make %s the controlling one: %w", name, err)
	}
	for fd := range 3 {
		if err := unix.Dup2(slave, fd); err != nil {
			return "", fmt.Errorf("terminal: dup2: %w", err)
		}
	}
	return name, unix.Close(slave)
}

// NewConsole returns the two ends of the socket that a terminal's master comes
// over: child is for Stdio.Console and may be closed after Start.
func NewConsole() (parent, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "console"), os.NewFile(uintptr(fds[1]), "console"), nil
}

// ReceiveConsole returns the master that a started child sent up.
func ReceiveConsole(parent *os.File) (*os.File, error) {
	buf, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(int(parent.Fd()), buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		return nil, errors.New("receive the terminal: no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("receive the terminal: no descriptor came")
	}
	// Non-blocking, so that closing the file ends a read of it.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), string(buf[:n])), nil
}
