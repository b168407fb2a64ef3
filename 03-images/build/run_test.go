package build

import (
	"fmt"
	"os"
	"strings"
	"testing"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// output is what RUN lines print, after the line that announces each.
func output(b *Builder) string {
	var lines []string
	for line := range strings.Lines(said(b)) {
		if !strings.HasPrefix(line, "Dockerfile:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestRun_WhatItSees(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	t.Setenv("SECRET", "of the caller")
	for text, want := range map[string]string{
		"RUN echo $$ $(hostname) $(pwd) $(id -u) $HOME ${SECRET:-none}": "1 build / 0 /root none\n",
		"RUN echo a; echo b >&2":                                                       "a\nb\n",
		"ENV A=1 B='$A'\nARG C=2\nRUN echo $A $B $C":                                   "1 $A 2\n",
		"RUN [\"/bin/echo\", \"$HOME\", \"a b\"]":                                      "$HOME a b\n",
		"SHELL [\"/bin/sh\", \"-x\", \"-c\"]\nRUN echo x":                              "+ echo x\nx\n",
		"WORKDIR /some/where\nRUN pwd":                                                 "/some/where\n",
		"RUN <<E\nA=1\necho $A\nE":                                                     "1\n",
		"RUN <<E\n#!/bin/sh -e\necho $0\nE":                                            "/.heredoc/E\n",
		"RUN cat <<ONE - <<TWO\na\nONE\nb\nTWO":                                        "b\n",
		"ENV HOME=/h\nRUN echo $HOME":                                                  "/h\n",
		"ENV PATH=/nowhere:/bin\nRUN echo $PATH":                                       "/nowhere:/bin\n",
		"RUN cat /proc/net/dev | grep -c :":                                            "1\n", // lo
		"RUN echo x > /dev/null; test -c /dev/zero && test ! -e /dev/sda && echo devs": "devs\n",
		"RUN read x; echo \"<$x>\"":                                                    "<>\n",
		"RUN sleep 100 & echo over":                                                    "over\n",
	} {
		b, _ := build(t, store, "FROM base\n"+text+"\n", "")
		check.Equal(t, "what is said by\n"+text, want, output(b))
	}
}

func TestRun_WhatItLeaves(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	list := func(text string) map[string]string {
		_, img := build(t, store, text, "")
		last := &images.Image{Layers: img.Layers[len(img.Layers)-1:]}
		last.Config.RootFS.DiffIDs = img.Config.RootFS.DiffIDs[len(img.Layers)-1:]
		return listFiles(t, store, last)
	}
	check.Equal(t, "the layer of a RUN that makes a file in /tmp", "map[/.:drwxr-xr-x /tmp:dtrwxrwxrwx /tmp/f:-rw-r--r-- 1\n]",
		fmt.Sprint(list("FROM base\nRUN echo 1 > /tmp/f; echo 2 > /dev/shm/x; echo 3 > /dev/x\n")))
	check.Equal(t, "the layer of a heredoc with #!", "map[/.:drwxr-xr-x /f:-rw-r--r-- ]", fmt.Sprint(list("FROM base\nRUN <<E\n#!/bin/sh\n>/f\nE\n")))
	// In an image without /proc, /sys and /dev these are mounted all the same, and gone after.
	check.Equal(t, "the layer on top of a program alone", "map[/.:drwxr-xr-x /f:-rw-r--r-- ]", fmt.Sprint(list("FROM scratch\nCOPY --from=base /bin /bin\nRUN >/f\n")))
	_, img := build(t, store, "FROM base\nRUN mkdir /d && touch /d/a /d/b\nRUN rm /d/a && ln -s b /d/l\nRUN rm -r /d/b /usr\n", "")
	files := listFiles(t, store, img)
	check.Equal(t, "/d/a, which was removed", "", files["/d/a"])
	check.Equal(t, "/d/l", "Lrwxrwxrwx -> b", files["/d/l"])
	check.Equal(t, "/usr of the base, which was removed", "", files["/usr"])
	_, img = build(t, store, "FROM base\nRUN chmod 700 /\n", "")
	check.Equal(t, "/ after chmod", "drwx------", listFiles(t, store, img)["/."])
}

func TestRun_Users(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	base := "FROM base\nRUN echo joe:x:1000:100::/home/joe:/bin/sh >> /etc/passwd; echo users:x:100: >> /etc/group; echo more:x:7:a,joe >> /etc/group\n"
	for text, want := range map[string]string{
		"USER joe\nRUN echo $(id -u) $(id -g) $(id -G) $HOME":           "1000 100 100 7 /home/joe\n",
		"USER 1000\nRUN echo $(id -u) $(id -g) $HOME":                   "1000 100 /home/joe\n",
		"USER 5\nRUN echo $(id -u) $(id -g) $(id -G) $HOME":             "5 0 0 /\n",
		"USER 5:6\nRUN echo $(id -u) $(id -g)":                          "5 6\n",
		"USER joe:users\nRUN echo $(id -u) $(id -g) $(id -G)":           "1000 100 100\n",
		"USER joe\nWORKDIR /mine\nRUN touch x && ls -ln | wc -l":        "2\n",
		"USER nobody\nRUN echo $(id -u); touch /x 2>&1 | wc -l":         "65534\n1\n",
		"USER joe\nUSER root\nRUN id -u":                                "0\n",
		"RUN su -c true 2>/dev/null; grep NoNewPrivs /proc/self/status": "NoNewPrivs:\t0\n",
	} {
		b, _ := build(t, store, base+text+"\n", "")
		if sandbox.CurrentMode() == sandbox.Single && strings.HasPrefix(text, "USER") && !strings.Contains(text, "USER root") {
			check.True(t, "what is said by "+text, strings.Contains(said(b), "warning: line "), said(b), "a warning that there is one id")
			continue
		}
		check.Equal(t, "what is said by\n"+text, want, output(b))
	}
	if sandbox.CurrentMode() != sandbox.Single {
		_, img := build(t, store, base+"RUN touch /f && chown joe:more /f && chmod 4711 /f\n", "")
		check.Equal(t, "/f after chown", "urwx--x--x 1000:7 ", listFiles(t, store, img)["/f"])
	}
	err := fails(t, store, "FROM base\nUSER none\nRUN x\n", "")
	check.ErrorHas(t, "RUN as a user that is not there", err, []string{"Dockerfile:3: RUN: user none: not in the image's /etc/passwd"})
}

func TestRun_Failures(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	for text, want := range map[string]string{
		"FROM base\nRUN exit 3":                    "Dockerfile:2: RUN: exit status 3",
		"FROM base\nRUN kill -9 $$; nothing":       "Dockerfile:2: RUN: ",
		"FROM base\nRUN no-such-program":           "Dockerfile:2: RUN: exit status 127",
		"FROM base\nRUN [\"no-such-program\"]":     "Dockerfile:2: RUN: execute no-such-program",
		"FROM scratch\nRUN make":                   "Dockerfile:2: RUN: execute /bin/sh",
		"FROM base\n\nSHELL [\"/none\"]\nRUN make": "Dockerfile:4: RUN: execute /none",
		"FROM base\nRUN ln -s /tmp /p && rm -r /dev 2>/dev/null; true\nRUN rm -rf /sys; rmdir /proc; true\nWORKDIR /bin/sh\nRUN x": "Dockerfile:4: WORKDIR: mkdir /bin/box: there is a file of that name",
	} {
		err := fails(t, store, text+"\n", "")
		check.ErrorHas(t, text, err, []string{want})
		check.True(t, "the error of "+text, strings.Count(err.Error(), "\n") == 0, err.Error(), "one line")
	}
	check.Equal(t, "snapshots that are left", "[lock]", dirNames(t, store.Path("active")))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(t, "read mountinfo", err)
	check.True(t, "mounts that are left", !strings.Contains(string(mounts), store.Path("cache")), string(mounts), "none")
}

// With a network a RUN is in its caller's, and finds names by its caller's files;
// that leaves nothing in the layer.
func TestRun_Network(t *testing.T) {
	exercise.NeedAll(t)
	store := storeWithBase(t)
	online := func(b *Builder) { b.Offline = false }
	ours, err := os.Readlink("/proc/self/ns/net")
	check.NoError(t, "read my namespace", err)
	hosts, err := os.ReadFile("/etc/hosts")
	check.NoError(t, "read /etc/hosts", err)
	b, img := build(t, store, "FROM base\nRUN readlink /proc/self/ns/net; cat /etc/hosts\n", "", online)
	check.Equal(t, "its network and /etc/hosts", ours+"\n"+string(hosts), output(b))
	check.Equal(t, "layers", 1, len(img.Layers))
	for _, gone := range []string{"rm /etc/hosts /etc/resolv.conf", "rm -r /etc"} {
		_, img = build(t, store, "FROM base\nRUN --network=none "+gone+"\nRUN true\n", "", online)
		check.Equal(t, "layers after RUN true where there was none of these files", 2, len(img.Layers))
		check.Equal(t, "/etc/hosts after "+gone, "", listFiles(t, store, img)["/etc/hosts"])
	}
	b, _ = build(t, store, "FROM base\nRUN --network=none readlink /proc/self/ns/net\n", "", online)
	check.True(t, "the network of --network=none", output(b) != ours+"\n", "its caller's", "another")
}
