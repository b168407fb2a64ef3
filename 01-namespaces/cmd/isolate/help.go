package main

const help = `Run a command in namespaces of its own: UTS, PID, mount, IPC, network, cgroup, and
user if you are not root.

  isolate [flags] [--] COMMAND [ARG...]
  isolate enter NAME|PID [flags] [--] COMMAND [ARG...]   run in what is running
  isolate ls                                             what is running

Examples:
  isolate -- sh                                a shell on a terminal of its own
  isolate --hostname web --net host -- wget -qO- http://localhost:8080
  isolate --bind $PWD:/mnt:ro -- ls /mnt       a folder of yours, read-only
  isolate --root ./rootfs --writable -- /bin/sh -c 'echo hi > /hi'
  isolate --name demo -- sleep 60 & isolate enter demo -- ps

Flags:
  --root DIR          root file system (default: the workshop's base image)
  --writable          let the command write to it, and keep the root's own /tmp
  --bind SRC:DST[:ro] a file or folder of yours at DST; may be repeated
  --hostname NAME     (default: coracle)
  --net none|host     an empty network with lo, or yours (default: none)
  --name NAME         what ls and enter call it (default: its PID)
  --env NAME[=VALUE]  set, or pass on, a variable; may be repeated
  --dir DIR           working directory
  --user UID[:GID]    who the command is, inside (default: 0); any but 0 keeps
                      only the capabilities that --keep names
  --keep CAP          a capability more than the default 13; may be repeated
  --drop CAP          one less, or ALL; dropped before any is kept
  --no-seccomp        no filter of system calls
  --tty, --no-tty     a terminal of its own, or your files as they are
                      (default: a terminal if stdin and stdout are one)
  --spec FILE         all of the above as JSON, but name, tty and command

The exit status is the command's, 128+N if signal N ended it; 125: isolate itself
failed; 126: the command cannot be executed; 127: it was not found.
As PID 1 a command ignores signals that it has no handler for; the third SIGINT or
SIGTERM becomes SIGKILL.
`
