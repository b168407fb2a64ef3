package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const amd64 = "linux/amd64"

// plan plans the last stage of a Dockerfile that begins with scratch.
func plan(t testing.TB, text string, args map[string]string) ([]Step, Config) {
	t.Helper()
	steps, state, err := tryPlan(text, args)
	require.NoError(t, err, text)
	return steps, state.Config
}

func tryPlan(text string, args map[string]string) (steps []Step, state State, err error) {
	f, err := Parse("Dockerfile", []byte(text))
	if err != nil {
		return nil, state, err
	}
	stages, err := f.Stages(args, amd64, "")
	if err != nil {
		return nil, state, err
	}
	states := make([]State, len(stages))
	for i, st := range stages {
		from := State{}
		if st.Parent >= 0 {
			from = states[st.Parent]
		}
		if steps, states[i], err = f.Plan(st, from, time.Unix(0, 0)); err != nil {
			return nil, state, err
		}
	}
	return steps, states[len(states)-1], nil
}

// Each error is one line with the file and the line.
func TestErrors_NameFileAndLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "Dockerfile:1: file with no instructions",
		"# only a comment\n":                     "Dockerfile:1: file with no instructions",
		"ARG A=1\n":                              "Dockerfile:1: no FROM",
		"RUN make\n":                             "Dockerfile:1: RUN before the first FROM",
		"FROM\n":                                 "Dockerfile:1: FROM requires",
		"FROM scratch\nFORM scratch\n":           "Dockerfile:2: unknown instruction: FORM",
		"FROM scratch\n\n\nCOPY a\n":             "Dockerfile:4: COPY requires at least two arguments",
		"FROM scratch\nENV A\n":                  "Dockerfile:2: ENV must have two arguments",
		"FROM scratch\nRUN a \\\n  b\nLABEL\n":   "Dockerfile:4: LABEL",
		"FROM scratch\nENV A=${B\n":              "Dockerfile:2: ",
		"FROM $NONE\n":                           "Dockerfile:1: FROM $NONE: no image",
		"FROM scratch AS 1x\n":                   `Dockerfile:1: invalid name for build stage: "1x"`,
		"FROM scratch AS scratch\n":              "Dockerfile:1: a stage may not be called scratch",
		"FROM scratch\nCOPY --from=2 a /b\n":     "Dockerfile:2: COPY --from=2: there are 0 stages before this one",
		"FROM scratch\nCOPY --from=0 a /b\n":     "Dockerfile:2: COPY --from=0: there are 0 stages",
		"FROM scratch AS a\nCOPY --from=a x /\n": "Dockerfile:2: COPY --from=a: that stage begins here or later",
		"FROM scratch\nCOPY --from=b x /\nFROM scratch AS b\n":                  "Dockerfile:2: COPY --from=b: that stage begins here or later",
		"FROM scratch\nCOPY a b /c\n":                                           "Dockerfile:2: COPY of more than one source to /c",
		"FROM scratch\nCOPY --chmod=rwx a /c\n":                                 "Dockerfile:2: COPY --chmod=rwx: want octal",
		"FROM scratch\nCOPY --parents a /c\n":                                   "Dockerfile:2: COPY --parents is not built here",
		"FROM scratch\nCOPY --nosuch a /c\n":                                    "Dockerfile:2: unknown flag: --nosuch",
		"FROM scratch\nADD https://a.b/c /\n":                                   "Dockerfile:2: ADD https://a.b/c: nothing is downloaded here",
		"FROM scratch\nADD git@a.b:c.git /\n":                                   "Dockerfile:2: ADD git@a.b:c.git: nothing is downloaded here",
		"FROM scratch\nRUN --mount=type=cache,target=/x a\n":                    "Dockerfile:2: RUN --mount is not built here",
		"FROM scratch\nRUN --security=insecure a\n":                             "Dockerfile:2: ",
		"FROM scratch\nSTOPSIGNAL SIGNOSE\n":                                    "Dockerfile:2: STOPSIGNAL SIGNOSE: no such signal",
		"FROM scratch\nEXPOSE 70000\n":                                          "Dockerfile:2: EXPOSE 70000: want a port",
		"FROM scratch\nEXPOSE 80/icmp\n":                                        `Dockerfile:2: EXPOSE 80/icmp: the protocol "icmp"`,
		"FROM scratch\nHEALTHCHECK --interval=x CMD a\n":                        "Dockerfile:2: ",
		"FROM scratch\nSHELL /bin/sh\n":                                         "Dockerfile:2: SHELL requires the arguments to be in JSON form",
		"FROM scratch\nONBUILD ONBUILD RUN a\n":                                 "Dockerfile:2: Chaining ONBUILD",
		"FROM scratch\nONBUILD FORM a\n":                                        "Dockerfile:2: ",
		"FROM scratch\nRUN <<EOF\nnever ended\n":                                "Dockerfile:2: ",
		"FROM scratch\nENV A=0123456789\n" + strings.Repeat("ENV A=$A$A\n", 40): "Dockerfile:19: ",
		"FROM scratch\nEXPOSE " + strings.Repeat("0-65535 ", 20) + "\n":         "Dockerfile:2: the image's history becomes larger",
		strings.Repeat("FROM scratch\n", 600):                                   "Dockerfile:501: more than 500 stages",
		"FROM scratch\n" + strings.Repeat("#", maxDockerfile):                   "Dockerfile:1: ",
	} {
		_, _, err := tryPlan(text, nil)
		if assert.Error(t, err, text) {
			assert.Truef(t, strings.HasPrefix(err.Error(), want), "%.60q: got %q, want %q…", text, err, want)
			assert.NotContains(t, err.Error(), "\n", text)
			var e *Error
			assert.True(t, errors.As(err, &e), text)
		}
	}
}

// An error of several lines becomes one, and is still found by errors.Is.
func TestAt_KeepsWhatItWraps(t *testing.T) {
	err := (&Dockerfile{name: "Dockerfile"}).at(3, fmt.Errorf("RUN: %w", errors.Join(io.EOF, fs.ErrExist)))
	assert.EqualError(t, err, "Dockerfile:3: RUN: EOF file already exists")
	assert.ErrorIs(t, err, io.EOF)
	assert.ErrorIs(t, err, fs.ErrExist)
}

func TestStages_NamesAndArguments(t *testing.T) {
	f, err := Parse("Dockerfile", []byte(`
ARG TAG=1
ARG IMAGE=busy$TAG
FROM ${IMAGE}:$TAG AS Build
FROM build AS second
COPY --from=0 a /
COPY --from=BUILD b /
COPY --from=other/image c /
FROM --platform=$TARGETPLATFORM scratch
COPY --from=second d /
`))
	require.NoError(t, err)
	stages, err := f.Stages(map[string]string{"TAG": "2", "OTHER": "3"}, "linux/arm64", "")
	require.NoError(t, err)
	require.Len(t, stages, 3)
	assert.Equal(t, "busy2:2", stages[0].Base)
	assert.Equal(t, "build", stages[0].Name)
	assert.Equal(t, []any{0, "", []int{0}}, []any{stages[1].Parent, stages[1].Base, stages[1].From})
	assert.Equal(t, []any{-1, Scratch, []int{1}, "linux/arm64", 9}, []any{stages[2].Parent, stages[2].Base, stages[2].From, stages[2].Platform, stages[2].Line})
}

func TestPlan_Config(t *testing.T) {
	const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for text, want := range map[string]string{
		"ENV A=1 B=\"two words\" C=$A":                     "Env=[" + path + " A=1 B=two words C=]", // one instruction sees what was before it
		"ENV A=1\nENV A=2 B=${A}x":                         "Env=[" + path + " A=2 B=1x]",
		"ENV A=a\\ b\nENV B='$A' C=\"$A\" D=\\$A":          "Env=[" + path + " A=a b B=$A C=a b D=$A]",
		"ENV A=${B:-none} C=${PATH:+yes}":                  "Env=[" + path + " A=none C=yes]",
		"ENV PATH=/x:$PATH":                                "Env=[PATH=/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin]",
		"LABEL a=b \"c d\"=e":                              "Labels=map[a:b c d:e]",
		"ENV A=2\nARG A=1\nLABEL l=$A":                     "Labels=map[l:2]", // an ENV hides an ARG
		"EXPOSE 80 53/udp 8000-8002/TCP":                   "ExposedPorts=map[53/udp:{} 80/tcp:{} 8000/tcp:{} 8001/tcp:{} 8002/tcp:{}]",
		"ARG P=81\nEXPOSE $P":                              "ExposedPorts=map[81/tcp:{}]",
		"VOLUME /a /b":                                     "Volumes=map[/a:{} /b:{}]",
		"VOLUME [\"/a b\"]":                                "Volumes=map[/a b:{}]",
		"USER joe:staff":                                   "User=joe:staff",
		"WORKDIR a\nWORKDIR b/../c\nENV W=/w":              "WorkingDir=/a/c",
		"ENV W=/w\nWORKDIR $W/x":                           "WorkingDir=/w/x",
		"CMD a b":                                          "Cmd=[/bin/sh|-c|a b]",
		"CMD [\"a\", \"b c\"]":                             "Cmd=[a|b c]",
		"SHELL [\"/bin/ash\", \"-x\"]\nCMD a":              "Cmd=[/bin/ash|-x|a]",
		"CMD a\nENTRYPOINT [\"e\"]":                        "Entrypoint=[e] Cmd=[/bin/sh|-c|a]",
		"STOPSIGNAL SIGQUIT":                               "StopSignal=SIGQUIT",
		"STOPSIGNAL 9":                                     "StopSignal=9",
		"HEALTHCHECK --interval=5s --retries=3 CMD curl x": "Healthcheck={[CMD-SHELL curl x] 5s 0s 0s 0s 3}",
		"HEALTHCHECK NONE":                                 "Healthcheck={[NONE] 0s 0s 0s 0s 0}",
		"ONBUILD RUN make":                                 "OnBuild=[RUN make]",
		"MAINTAINER me <a@b.c>":                            "Author=me <a@b.c>",
	} {
		_, c := plan(t, "FROM scratch\n"+text+"\n", nil)
		cc := c.Config
		got := fmt.Sprintf("Env=%v Labels=%v ExposedPorts=%v Volumes=%v User=%s WorkingDir=%s Entrypoint=[%s] Cmd=[%s] StopSignal=%s OnBuild=%v Author=%s",
			cc.Env, cc.Labels, cc.ExposedPorts, cc.Volumes, cc.User, cc.WorkingDir, strings.Join(cc.Entrypoint, "|"), strings.Join(cc.Cmd, "|"), cc.StopSignal, cc.OnBuild, c.Author)
		if cc.Healthcheck != nil {
			got += fmt.Sprintf(" Healthcheck=%v", *cc.Healthcheck)
		}
		assert.Contains(t, got, want, text)
	}
}

func TestPlan_Arguments(t *testing.T) {
	for _, c := range []struct {
		text string
		args map[string]string
		want string // what RUN x sees besides PATH
	}{
		{"FROM scratch\nRUN x", map[string]string{"A": "passed"}, ""}, // not declared
		{"FROM scratch\nARG A\nRUN x", nil, ""},
		{"FROM scratch\nARG A\nRUN x", map[string]string{"A": "passed"}, "A=passed"},
		{"FROM scratch\nARG A=default\nRUN x", nil, "A=default"},
		{"FROM scratch\nARG A=default\nRUN x", map[string]string{"A": ""}, "A="},
		{"ARG A=global\nFROM scratch\nRUN x", nil, ""},
		{"ARG A=global\nFROM scratch\nARG A\nRUN x", nil, "A=global"},
		{"ARG A=global\nFROM scratch\nARG A=own\nRUN x", nil, "A=own"},
		{"FROM scratch\nARG A=1\nENV A=2\nRUN x", map[string]string{"A": "3"}, "A=2"}, // ENV wins
		{"FROM scratch\nENV A=2\nARG A=1\nRUN x", nil, "A=2"},
		{"FROM scratch\nARG A=1 B=${A}2\nRUN x", nil, "A=1 B=12"},
		{"FROM scratch\nARG A=1\nFROM scratch\nRUN x", nil, ""},
		{"FROM scratch AS a\nARG A=1\nFROM a\nRUN x", nil, "A=1"}, // a child stage inherits
		{"FROM scratch\nARG TARGETARCH\nRUN x", nil, "TARGETARCH=amd64"},
		{"FROM scratch\nARG B=$NONE\nRUN x", nil, "B="},
		{"FROM scratch\nARG HTTP_PROXY\nRUN x", map[string]string{"HTTP_PROXY": "p"}, "HTTP_PROXY=p"},
	} {
		steps, _ := plan(t, c.text+"\n", c.args)
		last := steps[len(steps)-1]
		var env []string
		for _, e := range last.Env {
			if !strings.HasPrefix(e, "PATH=") {
				env = append(env, e)
			}
		}
		assert.Equal(t, c.want, strings.Join(env, " "), c.text)
		assert.Empty(t, last.Proxy, c.text)
	}
	steps, _ := plan(t, "FROM scratch\nRUN x\n", map[string]string{"https_proxy": "p"})
	assert.Equal(t, []string{"https_proxy=p"}, steps[0].Proxy)
}

func TestPlan_Steps(t *testing.T) {
	for text, want := range map[string]string{
		"RUN a  b":                          "RUN [/bin/sh -c a  b] /",
		"RUN [\"a\", \"$b\"]":               "RUN [a $b] /",
		"RUN a \\\n  # comment\n  b":        "RUN [/bin/sh -c a   b] /",
		"WORKDIR /w\nUSER u\nRUN a":         "RUN [/bin/sh -c a] /w u",
		"RUN <<EOF\na\nb\nEOF":              "RUN [/bin/sh -c a\nb\n] /",
		"RUN <<-EOF\n\ta\n\tEOF":            "RUN [/bin/sh -c a\n] /",
		"RUN cat <<EOF > /x\na\nEOF":        "RUN [/bin/sh -c cat <<EOF > /x\na\nEOF] /",
		"RUN <<EOF\n#!/bin/prog\nx\nEOF":    "RUN [/.heredoc/EOF] / script #!/bin/prog\nx\n",
		"RUN --network=none a":              "RUN [/bin/sh -c a] / offline",
		"WORKDIR /w\nCOPY a .":              "COPY [a] /w/",
		"COPY a b/ /c/":                     "COPY [a b/] /c/",
		"COPY [\"a b\", \"/c d\"]":          "COPY [a b] /c d",
		"COPY --chown=1:2 --chmod=4755 a b": "COPY [a] /b chown 1:2 chmod urwxr-xr-x",
		"ARG X=y\nCOPY --chown=$X $X $X":    "COPY [y] /y chown y",
		"COPY <<EOF /f\n$PATH'\nEOF":        "COPY [] /f <<EOF /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'\n",
		"COPY <<\"EOF\" /f\n$PATH\nEOF":     "COPY [] /f <<EOF $PATH\n",
		"COPY --exclude=*.o . /":            "COPY [.] / exclude [*.o]",
		"ADD a.tar /":                       "COPY [a.tar] / unpack",
		"ADD --unpack=false a.tar /":        "COPY [a.tar] /",
		"COPY --from=some/image:1 a /":      "COPY [a] / from some/image:1",
	} {
		steps, _ := plan(t, "FROM scratch\n"+text+"\n", nil)
		s := steps[len(steps)-1]
		got := fmt.Sprintf("%s %v %s%s", s.Kind, s.Sources, s.Dest, s.User)
		if s.Kind == Run {
			got = strings.TrimSpace(fmt.Sprintf("%s %v %s %s", s.Kind, s.Args, s.Dir, s.User))
		}
		for word, on := range map[string]bool{" chown " + s.Chown: s.Chown != "", " offline": s.Offline, " unpack": s.Unpack, " from " + s.FromImage: s.FromImage != "",
			fmt.Sprintf(" exclude %v", s.Exclude): s.Exclude != nil} {
			if on {
				got += word
			}
		}
		if s.Chmod != nil {
			got += " chmod " + s.Chmod.String()[0:]
		}
		for _, f := range s.Files {
			got += " <<" + f.Name + " " + f.Data
		}
		if s.Script != nil {
			got += " script " + s.Script.Data
		}
		assert.Equal(t, want, got, text)
	}
}

// A FROM of an image with ONBUILD carries that out, once.
func TestPlan_Onbuild(t *testing.T) {
	steps, c := plan(t, "FROM scratch AS base\nONBUILD ENV A=1\nONBUILD RUN make $A\nFROM base\nRUN x\n", nil)
	require.Len(t, steps, 2)
	assert.Equal(t, []string{"/bin/sh", "-c", "make $A"}, steps[0].Args)
	assert.Contains(t, steps[1].Env, "A=1")
	assert.Empty(t, c.Config.OnBuild)
	_, _, err := tryPlan("FROM scratch AS base\nONBUILD COPY --from=x a /\nFROM base\n", nil)
	require.ErrorContains(t, err, "--from is not built here")
}

// The base's state is the base's: a stage that goes on from it does not change it.
func TestPlan_LeavesTheBaseAlone(t *testing.T) {
	f, err := Parse("Dockerfile", []byte("FROM scratch\nENV A=2\nLABEL a=b\nRUN x\n"))
	require.NoError(t, err)
	stages, err := f.Stages(nil, amd64, "")
	require.NoError(t, err)
	var base State
	base.Config.Config.Env = append(make([]string, 0, 8), "A=1", "PATH=/bin")
	base.Config.Config.Labels = map[string]string{"l": "m"}
	for range 2 {
		steps, state, err := f.Plan(stages[0], base, time.Unix(5, 0))
		require.NoError(t, err)
		assert.Equal(t, []string{"A=2", "PATH=/bin"}, steps[0].Env)
		assert.Equal(t, []string{"A=1", "PATH=/bin"}, base.Config.Config.Env)
		assert.Equal(t, map[string]string{"l": "m"}, base.Config.Config.Labels)
		require.Len(t, state.Config.History, 3)
		assert.Equal(t, []bool{true, true, false}, []bool{state.Config.History[0].EmptyLayer, state.Config.History[1].EmptyLayer, state.Config.History[2].EmptyLayer})
		assert.Equal(t, time.Unix(5, 0), *state.Config.Created)
	}
}
